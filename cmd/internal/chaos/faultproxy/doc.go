// Package faultproxy is a TCP proxy that breaks connections on purpose: refused, cut after some bytes, slow, silent
// from the first byte, or swallowed in one direction. It knows nothing of the protocol that it carries.
package faultproxy
