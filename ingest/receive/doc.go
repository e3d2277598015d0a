// Package receive takes envelopes over HTTP from senders that cannot or may not write to Kafka: taps in other
// networks, and gateways.
//
// What it promises:
//
//   - A 2xx answer means that every record of the request is durable: published or spooled through Publisher, or, where
//     it could not become an envelope, written to DeadLetters. Any other answer means that the sender still owns the whole
//     request and may send it again. A repeat of a request whose answer was lost stands twice in Kafka; consumers
//     recognise it by call id and phase, or by the numbers of its Source.
//   - Everything a stranger can make large is bounded: connections, header, body before and after decompression,
//     records, requests and bytes at work, time, failed log-ins, remembered signatures.
//   - Nothing is durable before it was authenticated, and no string before it was redacted, unless the source is
//     trusted to have done so. A raw credential is refused from every source.
//
// One request passes through, in this order: identify.go and sign.go (who sends), body.go (bytes within bounds), a
// Format (bytes to records), rate.go (how much the source may send), admit.go (what may be kept), letter.go (where the rest
// goes), number.go (the proof of completeness), receiver.go (all of it, and the answer). A further wire format is one
// more Format: a file with its decoder, its fixtures, and a line where the receiver is wired.
package receive
