package stream

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
)

// ErrForgotten ends a Runner whose group no longer knows the member under which its partitions were assigned. Another
// member may have had them since, so nothing of what is in memory is worth keeping: start over with a new client.
var ErrForgotten = errors.New("the group has forgotten this member")

// Dial makes a client with the options given and whatever all clients share.
type Dial func(opts ...kgo.Opt) (*kgo.Client, error)

// Consumption is a Runner with the client it was made for. One that its group forgets starts over.
type Consumption struct {
	open   func() (*kgo.Client, *Runner, error)
	client *kgo.Client
	runner *Runner
}

// Consume prepares a consumption; Run starts it. Membership of set is its own.
func Consume(dial Dial, newBatch NewBatch, cfg Config, set Settings) (c *Consumption, err error) {
	c = &Consumption{open: func() (*kgo.Client, *Runner, error) {
		set := set
		set.Membership = &Membership{}
		client, err := dial(Options(cfg, set.Membership)...)
		if err != nil {
			return nil, nil, fmt.Errorf("create consumer of %s: %w", set.Name, err)
		}
		runner, err := New(client, newBatch, cfg, set)
		if err != nil {
			client.Close()
			return nil, nil, fmt.Errorf("create runner of %s: %w", set.Name, err)
		}
		return client, runner, nil
	}}
	c.client, c.runner, err = c.open()
	return c, err
}

// Run consumes until ctx ends, as Runner.Run does, and closes the client. It may be called once.
func (c *Consumption) Run(ctx context.Context) error {
	for {
		err := c.runner.Run(ctx)
		c.client.Close()
		if !errors.Is(err, ErrForgotten) || ctx.Err() != nil {
			return err
		}
		c.runner.log.Warn().Err(err).Msg("starting over as a new member")
		if c.client, c.runner, err = c.open(); err != nil {
			return err
		}
	}
}

// Close ends a Consumption that Run was not called on.
func (c *Consumption) Close() { c.client.Close() }
