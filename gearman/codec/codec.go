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

// Pair is the codec of payloads (from client to worker) and that of results (back).
type Pair struct{ Arg, Result Codec }

// The codecs that there are.
var (
	// Raw takes and gives bytes and strings as they are.
	Raw = Pair{Arg: raw{}, Result: raw{}}
	// JSON is encoding/json both ways. Data of no bytes decodes into nothing, without an error.
	JSON = Pair{Arg: jsonCodec{}, Result: jsonCodec{}}
	// NetGearman is what PHP's Net_Gearman does; see NetGearmanArg and NetGearmanResult.
	NetGearman = Pair{Arg: NetGearmanArg{}, Result: NetGearmanResult{}}
)

// ErrType is a value that a codec can't take or fill.
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

// Decode leaves v as it is if there is no data: a worker of any language completes a job without a
// result so.
func (jsonCodec) Decode(data []byte, v any) error {
	if len(data) == 0 {
		return nil
	}
	return json.Unmarshal(data, v)
}
