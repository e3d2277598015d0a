package redact

import "golang.org/x/sys/cpu"

// rows are the marks as a table of which a shuffle looks up sixteen entries at once: bit h of rows[mark][l] says that the
// byte with the high half h and the low half l is marked. Bytes beyond ASCII are never.
var rows = func() (t [marks][16]byte) {
	for mark := range marks {
		for c := range byte(128) {
			if marked(c, mark) {
				t[mark][c&15] |= 1 << (c >> 4)
			}
		}
	}
	return t
}()

// at marks a block.
func (b *block) at(text *[blockSize]byte) {
	if cpu.X86.HasAVX2 {
		readAVX2(b, text, &rows)
		return
	}
	b.read(text)
}

// readAVX2 marks a block, 32 bytes at a time.
//
//go:noescape
func readAVX2(b *block, text *[blockSize]byte, rows *[marks][16]byte)
