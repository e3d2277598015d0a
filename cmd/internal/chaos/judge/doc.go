// Package judge decides whether a run of a conservation test lost, doubled or changed anything. It reads the topics,
// the tables and the producer's journal, asks the oracle's process what must be there, and compares everything.
package judge
