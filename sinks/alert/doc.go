// Package alert delivers findings to people: one notification per finding key and sink.
//
// A Notifier makes one delivery attempt. Retry repeats attempts with growing pauses until the attempt succeeds,
// the error is permanent, or the time for one finding is up. A Dispatcher drops findings whose key was delivered
// before, sends what remains with bounded parallelism and hands what could not be delivered to a give-up function,
// so that one finding a receiver will never take cannot hold back the others for ever.
//
// Findings hold names, figures and policy text, never prompts, answers or secrets; a Notifier MUST NOT add any.
// The receiver's address may itself be a secret and MUST NOT be logged or returned in errors: name the host only.
package alert
