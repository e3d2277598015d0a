package stream

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Classes of a refused commit; they are the metric's label.
const (
	commitRebalance = "rebalance" // the group is moving; the commit holds again under the next generation
	commitFenced    = "fenced"    // this member is no longer known under its generation
	commitDenied    = "denied"    // the broker will not change its mind: authorisation, metadata too large
	commitCanceled  = "canceled"  // the partition was taken away or the process stops
	commitTransient = "transient" // network, coordinator moving, timeouts, and everything unknown
)

// classifyCommit names why a commit was refused.
func classifyCommit(err error) string {
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, kgo.ErrClientClosed):
		return commitCanceled
	case errors.Is(err, kerr.RebalanceInProgress):
		return commitRebalance
	case errors.Is(err, ErrForgotten), errors.Is(err, kerr.IllegalGeneration), errors.Is(err, kerr.UnknownMemberID),
		errors.Is(err, kerr.FencedInstanceID), errors.Is(err, kerr.StaleMemberEpoch), errors.Is(err, kerr.FencedMemberEpoch):
		return commitFenced
	case errors.Is(err, kerr.GroupAuthorizationFailed), errors.Is(err, kerr.TopicAuthorizationFailed),
		errors.Is(err, kerr.OffsetMetadataTooLarge), errors.Is(err, kerr.InvalidGroupID):
		return commitDenied
	}
	return commitTransient
}
