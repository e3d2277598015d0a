//go:build !amd64

package redact

// at marks a block.
func (b *block) at(text *[blockSize]byte) { b.read(text) }
