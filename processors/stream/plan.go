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
)

// planVersion starts the metadata of a planned commit: "v1;<last>".
const planVersion = "v1;"

// none is an offset that is not there.
const none = int64(-1)

// committed is what the coordinator holds for one partition.
type committed struct {
	offset  int64 // first offset that is not finished; none when nothing was ever committed
	planned int64 // last offset of a planned batch that starts at offset; none without a plan
}

func formatPlan(last int64) string { return planVersion + strconv.FormatInt(last, 10) }

// parsePlan reads metadata. Metadata of other writers (a client's member id, a tool's comment) is no plan.
func parsePlan(offset int64, metadata string) int64 {
	text, ok := strings.CutPrefix(metadata, planVersion)
	if !ok {
		return none
	}
	last, err := strconv.ParseInt(text, 10, 64)
	if err != nil || last < offset {
		return none
	}
	return last
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
				at.planned = parsePlan(p.Offset, *p.Metadata)
			}
			return at, nil
		}
	}
	return committed{}, errors.New("fetch committed offset: the answer lacks the partition")
}

// commit sets the partition's committed offset and metadata under the group's present generation. The request
// is the client's own, so that it never runs between a join and its sync.
func commit(ctx context.Context, client *kgo.Client, topic string, partition int32, offset int64, metadata string) error {
	ctx = kgo.PreCommitFnContext(ctx, func(req *kmsg.OffsetCommitRequest) error {
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
