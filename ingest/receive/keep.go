package receive

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/modeltrail/modeltrail/ingest/publish"
	"github.com/modeltrail/modeltrail/schemas/batch"
	"github.com/modeltrail/modeltrail/schemas/event"
)

// keep makes every record durable: first the rejected ones as dead letters, then the envelopes, because a repeated dead
// letter does less harm than a repeated envelope.
func (r *Receiver) keep(ctx context.Context, v *visit, records []Record) (Result, *failure) {
	result := Result{Rejected: []Rejected{}}
	var accepted []*event.Envelope
	var letters []batch.Reject
	for i, record := range records {
		reduced, err := r.admitRecord(v, record)
		if err != nil {
			why := refusal(err)
			letters = append(letters, r.gate.letter(v.source, v.format.Name(), r.set.Topic, i, record, why, v.now))
			if len(result.Rejected) < maxRejected {
				result.Rejected = append(result.Rejected, Rejected{i, why.Reason, why.Detail})
			}
			continue
		}
		result.Accepted++
		if reduced {
			result.Reduced++
		}
		accepted = append(accepted, record.Envelopes...)
	}
	result.RejectedCount = len(letters)
	ctx, cancel := context.WithTimeout(ctx, r.cfg.DurableTimeout)
	defer cancel()
	if err := r.writeLetters(ctx, letters); err != nil {
		return Result{}, r.notDurable(err, "dead letters could not be written; the request was refused")
	}
	for _, letter := range letters {
		r.metrics.rejected.WithLabelValues(v.source.Name, letter.Reason).Inc()
	}
	if fail := r.publish(ctx, accepted); fail != nil {
		return Result{}, fail
	}
	return result, nil
}

// writeLetters has the deadline of ctx but does not end with its sender: a Kafka client that gives up one record gives up
// what waits behind it too, which are the letters of others.
func (r *Receiver) writeLetters(ctx context.Context, letters []batch.Reject) error {
	if len(letters) == 0 {
		return nil
	}
	deadline, _ := ctx.Deadline()
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), deadline)
	defer cancel()
	return r.set.DeadLetters.Write(ctx, letters)
}

// admitRecord admits all envelopes of a record or none.
func (r *Receiver) admitRecord(v *visit, record Record) (reduced bool, err error) {
	if record.Err != nil {
		return false, record.Err
	}
	if len(record.Envelopes) == 0 {
		return false, &Refusal{Reason: ReasonMalformed}
	}
	for _, env := range record.Envelopes {
		less, err := r.gate.admit(v.source, env)
		if err != nil {
			return false, err
		}
		reduced = reduced || less
	}
	return reduced, nil
}

func (r *Receiver) publish(ctx context.Context, envs []*event.Envelope) *failure {
	if len(envs) == 0 {
		return nil
	}
	own := r.numbers.assign(envs)
	started := time.Now()
	err := r.set.Publisher.PublishDurable(ctx, envs)
	r.metrics.waited(started, err)
	r.numbers.settle(own, err == nil)
	if err != nil {
		return r.notDurable(err, "envelopes could not be made durable; the request was refused")
	}
	return nil
}

// outageRetry is when a sender may come back while Kafka is away.
const outageRetry = 5 * time.Second

func (r *Receiver) notDurable(err error, message string) *failure {
	f := &failure{status: http.StatusServiceUnavailable, code: "not_durable", message: "nothing was taken: the records cannot be made durable at the moment", retry: outageRetry}
	if errors.Is(err, publish.ErrRefused) {
		f.code, f.retry = "overload", overloadRetry
		f.message = "nothing was taken: more records wait to be made durable than may"
	}
	r.warn.say(f.code, err, message)
	return f
}
