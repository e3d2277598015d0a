package stream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/modeltrail/modeltrail/schemas/batch"
)

// planVersion starts the metadata of a planned commit: "v1;<last>" or "v1;<last>;<note>".
const planVersion = "v1;"

// maxNote bounds what a Stepwise batch may note: brokers keep 4096 bytes of metadata.
const maxNote = 3500

// Plan is what is to be delivered next, as it is committed at the offset Span.First.
type Plan struct {
	// Span is what the batch has to make durable. Last is First-1 where nothing is planned.
	Span batch.Span
	// Note is what a Stepwise batch wants to be told again, by whomever goes on with the plan. The stream keeps it
	// beside the span and does not read it.
	Note string
	// Found says that the plan was there when the partition was assigned: somebody else may have inserted under it.
	Found bool
}

// Empty reports whether nothing is planned.
func (p Plan) Empty() bool { return p.Span.Last < p.Span.First }

// none is an offset that is not there.
const none = int64(-1)

// committed is what the coordinator holds for one partition.
type committed struct {
	offset  int64 // first offset that is not finished; none when nothing was ever committed
	planned int64 // last offset of a planned batch that starts at offset; none without a plan
	note    string
}

func formatPlan(last int64, note string) string {
	text := planVersion + strconv.FormatInt(last, 10)
	if note != "" {
		text += ";" + note
	}
	return text
}

// parsePlan reads metadata. Metadata of other writers (a client's member id, a tool's comment) is no plan.
func parsePlan(offset int64, metadata string) (last int64, note string) {
	text, ok := strings.CutPrefix(metadata, planVersion)
	if !ok {
		return none, ""
	}
	number, note, noted := strings.Cut(text, ";")
	last, err := strconv.ParseInt(number, 10, 64)
	if err != nil || last < offset || noted && note == "" {
		return none, ""
	}
	return last, note
}

// fetchCommitted asks the coordinator for one partition's offset and plan.
func fetchCommitted(ctx context.Context, client *kgo.Client, group, topic string, partition int32) (committed, error) {
	wanted := kmsg.NewOffsetFetchRequestTopic()
	wanted.Topic = topic
	wanted.Partitions = []int32{partition}
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Group = group
	req.RequireStable = true
	req.Topics = append(req.Topics, wanted)
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return committed{}, fmt.Errorf("fetch committed offset: %w", err)
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return committed{}, fmt.Errorf("fetch committed offset: %w", err)
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if t.Topic != topic || p.Partition != partition {
				continue
			}
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return committed{}, fmt.Errorf("fetch committed offset: %w", err)
			}
			if p.Offset < 0 {
				return committed{offset: none, planned: none}, nil
			}
			at := committed{offset: p.Offset, planned: none}
			if p.Metadata != nil {
				at.planned, at.note = parsePlan(p.Offset, *p.Metadata)
			}
			return at, nil
		}
	}
	return committed{}, errors.New("fetch committed offset: the answer lacks the partition")
}

// commit sets the partition's committed offset and metadata under the group's present generation. The request
// is the client's own, so that it never runs between a join and its sync. It is ErrForgotten when the client is no
// longer the member to which the partition was assigned: a client that its group forgot joins again under another name
// and tells nobody, and a coordinator takes commits without a name while the group is empty; either could plan over what
// a successor did.
func commit(ctx context.Context, client *kgo.Client, member, topic string, partition int32, offset int64, metadata string) error {
	ctx = kgo.PreCommitFnContext(ctx, func(req *kmsg.OffsetCommitRequest) error {
		if req.MemberID != member || req.Generation < 0 {
			return ErrForgotten
		}
		for i := range req.Topics {
			for j := range req.Topics[i].Partitions {
				req.Topics[i].Partitions[j].Metadata = &metadata
			}
		}
		return nil
	})
	var result error
	wanted := map[string]map[int32]kgo.EpochOffset{topic: {partition: {Epoch: -1, Offset: offset}}}
	client.CommitOffsetsSync(ctx, wanted, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
		result = commitResult(resp, err)
	})
	return result
}

func commitResult(resp *kmsg.OffsetCommitResponse, err error) error {
	if err != nil {
		return err
	}
	answered := false
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			answered = true
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return err
			}
		}
	}
	if !answered {
		return errors.New("the answer lacks the partition")
	}
	return nil
}

// logStart returns the partition's first offset that the broker still holds.
func logStart(ctx context.Context, client *kgo.Client, topic string, partition int32) (int64, error) {
	wantedPartition := kmsg.NewListOffsetsRequestTopicPartition()
	wantedPartition.Partition = partition
	wantedPartition.Timestamp = -2 // earliest
	wanted := kmsg.NewListOffsetsRequestTopic()
	wanted.Topic = topic
	wanted.Partitions = append(wanted.Partitions, wantedPartition)
	req := kmsg.NewPtrListOffsetsRequest()
	req.Topics = append(req.Topics, wanted)
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return none, fmt.Errorf("list first offset: %w", err)
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return none, errors.New("list first offset: the answer lacks the partition")
	}
	answer := resp.Topics[0].Partitions[0]
	if err := kerr.ErrorForCode(answer.ErrorCode); err != nil {
		return none, fmt.Errorf("list first offset: %w", err)
	}
	return answer.Offset, nil
}
