// Package credential turns what a caller authenticated with into facts that may be kept: a keyed fingerprint, the
// last four characters and the allow-listed claims of a JWT.
//
// It owns the fingerprint key. A raw secret enters through Extract, is hashed by Resolve, and is never stored,
// logged or returned; the memory of recent results is keyed by a per-process hash. All methods of Resolver are
// safe for concurrent use.
package credential
