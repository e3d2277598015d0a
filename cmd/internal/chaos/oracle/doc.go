// Package oracle says what must be stored of a workload. It computes from the numbers of a call, never from the bytes
// that were published, and shares no code with the product's chain: where both agree, both are right or made the same
// mistake twice.
package oracle
