// Package backfill turns records of archives into envelopes: calls in ModelTrail's own generic format, whose field
// names are those of the table calls, so that what `modeltrail query` wrote can be loaded as it is.
//
// A record's identity is its file's hash and its line, so that the same file gives the same envelopes and a second
// loading is recognised as one. Bodies, headers and names are redacted before they leave; a raw key is refused.
package backfill
