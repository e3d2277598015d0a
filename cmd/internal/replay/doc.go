// Package replay writes rows again: a span of envelopes, or single dead letters, through the chain of this binary.
//
// A replay has a number, which is the row_version of what it writes at the records' original positions. Table replays
// records each step: started (with its spans), planned (a chunk about to be written), finished, settled. Until it is
// finished nobody sees its rows; the insert of the finished row makes them current and supersedes what stood at its
// offsets before, at one moment. Then the sums follow (settled). One replay is open at a time, because what it
// supersedes must not change meanwhile.
//
// An interrupted replay goes on where it was when it is asked for again with the same arguments. The planned chunk is
// repeated exactly: where the server may have forgotten its tokens, the tables are asked which rows they have. A replay
// that is finished and not settled is settled by whatever comes next.
//
// A row that the server refuses, whatever the weather, is found by halving its chunk. The rows written until then belong
// to a replay that is abandoned and stay unseen; another one starts over without the offender, which becomes a dead letter.
package replay
