package proto

import "encoding/binary"

// HeaderSize is the size of a packet's header in bytes.
const HeaderSize = 12

// Bytes is the type of arguments: a string, or a slice of received data.
type Bytes interface{ ~string | ~[]byte }

// AppendHeader appends a header for a packet whose data has size bytes. Use it to write a packet
// whose data comes from elsewhere, for example from a file.
func AppendHeader(dst []byte, d Direction, t Type, size uint32) []byte {
	if d == Response {
		dst = append(dst, 0, 'R', 'E', 'S')
	} else {
		dst = append(dst, 0, 'R', 'E', 'Q')
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(t))
	return binary.BigEndian.AppendUint32(dst, size)
}

// sizeOf converts a size for the header. The parts of a packet are limited earlier, to MaxData at
// most: if the size overflowed, the rest of the data would be read as packets.
func sizeOf[N int | int64](n N) uint32 { return uint32(n) }

// AppendPacket appends a packet with the given data, without checking it.
func AppendPacket(dst []byte, d Direction, t Type, data []byte) []byte {
	dst = AppendHeader(dst, d, t, sizeOf(len(data)))
	return append(dst, data...)
}

// AppendEmpty appends a packet without arguments: RESET_ABILITIES, PRE_SLEEP, GRAB_JOB,
// GRAB_JOB_UNIQ, GRAB_JOB_ALL, ALL_YOURS as requests, NOOP and NO_JOB as responses.
func AppendEmpty(dst []byte, d Direction, t Type) []byte { return AppendHeader(dst, d, t, 0) }

func append1[A Bytes](dst []byte, d Direction, t Type, a A) []byte {
	dst = AppendHeader(dst, d, t, sizeOf(len(a)))
	return append(dst, a...)
}

func append2[A, B Bytes](dst []byte, d Direction, t Type, a A, b B) []byte {
	dst = AppendHeader(dst, d, t, sizeOf(len(a)+1+len(b)))
	dst = append(dst, a...)
	dst = append(dst, 0)
	return append(dst, b...)
}

// setSize writes the size of the packet that starts at mark into its header.
func setSize(dst []byte, mark int) []byte {
	binary.BigEndian.PutUint32(dst[mark+8:], sizeOf(len(dst)-mark-HeaderSize))
	return dst
}

// GrowSize raises the size in the header of the packet that starts at mark by n bytes, which the
// caller writes separately after the packet.
func GrowSize(dst []byte, mark, n int) []byte {
	size := binary.BigEndian.Uint32(dst[mark+8:])
	binary.BigEndian.PutUint32(dst[mark+8:], size+sizeOf(n))
	return dst
}
