// Package tap sees every request and response of LLM calls and publishes two envelopes per call: one when the
// request was read, one when the answer ended or broke off.
//
// It comes as a Middleware around a handler, as a RoundTripper around a client's transport and as a reverse proxy;
// all three feed the same core. What the tap promises:
//
//   - A call is never slowed by the audit and never fails for it, unless its route says that unaudited calls must not be
//     served (on_audit_failure: closed). The goroutine of a call does timestamps, byte
//     copies into bounded memory and one non-blocking enqueue; redaction, hashing, encryption and publishing happen
//     in workers. When memory is short, bodies are left out first, then whole envelopes.
//   - Nothing is lost in silence. Envelopes are numbered without gaps in the order in which they are handed to the
//     publisher, and each carries the count of those that were given up before it.
//   - Bytes pass unchanged. The tap neither decodes, buffers, retries nor reorders what it relays.
//   - Secrets stay. Credentials become fingerprints, bodies pass redaction before they leave the process, and a
//     body that cannot be redacted is left out.
package tap
