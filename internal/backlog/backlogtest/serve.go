package backlogtest

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"strings"

	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// headerSize is the size of a packet's header, the last four bytes of which are the size of its
// data.
const headerSize = 12

// Serve plays a job server on a connection: it answers each text command by what answer returns, an
// echo request by its echo, and no other packet. It returns when the connection has ended, which it
// closes.
func Serve(conn net.Conn, answer func(command string) []byte) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for {
		reply, err := next(in, answer)
		if err != nil {
			return
		}
		if reply == nil {
			continue
		}
		if _, err := conn.Write(reply); err != nil {
			return
		}
	}
}

// next reads a command or a packet and returns the reply; nil: there is none.
func next(in *bufio.Reader, answer func(command string) []byte) ([]byte, error) {
	first, err := in.Peek(1)
	if err != nil {
		return nil, err
	}
	if first[0] == 0 {
		return echo(in)
	}
	line, err := in.ReadString('\n')
	if err != nil {
		return nil, err
	}
	return answer(strings.TrimSpace(line)), nil
}

var errTooLong = errors.New("a packet longer than the played job server reads")

// echo reads a packet and returns the echo that it asks for; nil: it asks for none.
func echo(in *bufio.Reader) ([]byte, error) {
	header, err := in.Peek(headerSize)
	if err != nil {
		return nil, err
	}
	kind, size := proto.Type(binary.BigEndian.Uint32(header[4:])), binary.BigEndian.Uint32(header[8:])
	if int64(size) > int64(in.Size()-headerSize) {
		return nil, errTooLong
	}
	packet, err := in.Peek(headerSize + int(size))
	if err != nil {
		return nil, err
	}
	data := bytes.Clone(packet[headerSize:])
	_, _ = in.Discard(len(packet)) // they are there
	if kind != proto.TypeEchoReq {
		return nil, nil
	}
	return proto.AppendEcho(nil, proto.Response, data), nil
}
