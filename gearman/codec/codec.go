package codec

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Codec encodes a value and decodes into a pointer.
type Codec interface {
	Encode(v any) ([]byte, error)
	Decode(data []byte, v any) error
}

// Pair is the codec of payloads (from client to worker) and the codec of results (back).
type Pair struct{ Arg, Result Codec }

// The available codecs.
var (
	// Raw passes bytes and strings through unchanged.
	Raw = Pair{Arg: raw{}, Result: raw{}}
	// JSON is encoding/json both ways. Empty data leaves the value unchanged, without an error.
	JSON = Pair{Arg: jsonCodec{}, Result: jsonCodec{}}
	// NetGearman is the encoding of PHP's Net_Gearman; see NetGearmanArg and NetGearmanResult.
	NetGearman = Pair{Arg: NetGearmanArg{}, Result: NetGearmanResult{}}
)

// ErrType is returned for a value that a codec can't encode or decode into.
var ErrType = errors.New("unsupported type")

type raw struct{}

func (raw) Encode(v any) ([]byte, error) {
	switch v := v.(type) {
	case []byte:
		return v, nil
	case string:
		return []byte(v), nil
	case nil:
		return nil, nil
	}
	return nil, fmt.Errorf("encode %T as raw bytes: %w: want []byte or string", v, ErrType)
}

func (raw) Decode(data []byte, v any) error {
	switch v := v.(type) {
	case *[]byte:
		*v = data
	case *string:
		*v = string(data)
	case *any:
		*v = data
	default:
		return fmt.Errorf("decode raw bytes into %T: %w: want *[]byte or *string", v, ErrType)
	}
	return nil
}

type jsonCodec struct{}

func (jsonCodec) Encode(v any) ([]byte, error) { return json.Marshal(v) }

// Decode leaves v unchanged if data is empty: workers in any language complete jobs without a
// result this way.
func (jsonCodec) Decode(data []byte, v any) error {
	if len(data) == 0 {
		return nil
	}
	return json.Unmarshal(data, v)
}
