// Package ledger counts what a source of envelopes owes, numbers, gives up and sees delivered, and says so in signed
// statements.
//
// It owns the counts of one boot epoch. What it promises:
//
//   - Counting costs the caller some atomic additions and one short lock, never a system call or a wait.
//   - The counts outlive a killed process: they stand in a small file that is mapped into memory. The next boot
//     publishes the closing statement of the killed epoch, with what was owed and neither numbered nor given up as lost
//     in the crash: an exact count. A power failure can take the last seconds of the file.
//   - Statements are cumulative. While Kafka is away one statement waits, not many; the next one says all.
//   - The file and the statements hold numbers and the source's name, nothing of a call.
//
// The caller MUST call Numbered before it hands an envelope over, and Refused when it was not taken: a process that is
// killed in between then counts one envelope that may not exist, never one too few.
package ledger
