package rig

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"time"

	"github.com/modeltrail/modeltrail/cmd/internal/chaos/faultproxy"
)

// wants reports whether a fault is part of the run.
func (r *Run) wants(fault string) bool {
	if len(r.opt.Faults) == 0 {
		return fault != brutal
	}
	return contains(r.opt.Faults, fault)
}

// faults lets calls flow and things break until every quota is met.
func (r *Run) faults(ctx context.Context) error {
	r.allow(0.02)
	ctx, stop := context.WithCancel(ctx)
	r.killers.Go(func() { r.killAtRandom(ctx) })
	r.killers.Go(func() { r.disturb(ctx) })
	err := r.flow(ctx)
	stop()
	r.killers.Wait()
	r.calm()
	return err
}

// flow lets calls flow for as long as the faults take and prints progress. It returns when all quotas are met, or when
// they are not met in three times the duration.
func (r *Run) flow(ctx context.Context) error {
	began, told := time.Now(), time.Now()
	const tick = 250 * time.Millisecond
	for flowed := 0.02; ; r.allow(flowed) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-r.produced:
			return fmt.Errorf("the producer ended before the faults did: %w\n%s", err, lastLines(filepath.Join(r.dir, "producer.log"), 10))
		case <-r.database.engine.Done():
			return fmt.Errorf("the engine cannot be started again: %w", r.database.engine.Err())
		case <-time.After(tick):
		}
		elapsed, met := time.Since(began), min(r.killShare(), r.points.progress())
		if elapsed >= r.opt.Duration && met >= 1 {
			return nil
		}
		left := r.opt.Duration - elapsed
		if met > 0 && met < 1 {
			left = max(left, time.Duration(float64(elapsed)*(1-met)/met))
		}
		// What is left of the calls is spread over what is left of the time, so that calls flow until the last fault.
		flowed += (0.97 - flowed) * min(float64(tick)/float64(max(left, 10*time.Second)), 1)
		if time.Since(told) > 10*time.Second {
			told = time.Now()
			r.tell()
		}
		if elapsed > 3*r.opt.Duration+2*time.Minute {
			r.report.note("the quotas were not met in three times the duration: %.0f %% of the kills, %.0f %% of the failpoint kills", 100*r.killShare(), 100*r.points.progress())
			return nil
		}
	}
}

func (r *Run) killShare() float64 {
	if r.opt.Kills == 0 {
		return 1
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return float64(r.report.random()) / float64(r.opt.Kills)
}

// tell prints one line of progress.
func (r *Run) tell() {
	lag, rows := r.lag(), r.rows()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.say("acknowledged %d records, %d rows in envelopes, lag %s, %d random kills, failpoint kills %v", r.acks.Load(), rows, lag, r.report.random(), r.points.counts())
}

// killAtRandom kills one component after another, at moments drawn so that the quota is met in the duration.
func (r *Run) killAtRandom(ctx context.Context) {
	components := r.opt.Components
	if len(components) == 0 {
		components = slices.DeleteFunc(Components(), func(c string) bool { return c == "tap" && len(r.taps) == 0 })
	}
	rng := rand.New(rand.NewPCG(r.opt.Workload.Seed, 11)) //nolint:gosec // repeatable on purpose
	for r.killShare() < 1 {
		mean := r.opt.Duration.Seconds() / float64(r.opt.Kills) * 0.9
		wait := min(rng.ExpFloat64()*mean, 4*mean)
		if !sleep(ctx, time.Duration(wait*float64(time.Second))) {
			return
		}
		r.killOne(components[weighted(rng, components)], rng)
	}
}

// weighted prefers the store, whose moments matter most, and spares the broker, whose return takes longest.
func weighted(rng *rand.Rand, components []string) int {
	weights := map[string]int{"store": 8, "enrich": 4, "detect": 3, "engine": 5, "broker": 2, "tap": 6}
	total := 0
	for _, c := range components {
		total += weights[c]
	}
	dice := rng.IntN(total)
	for i, c := range components {
		if dice -= weights[c]; dice < 0 {
			return i
		}
	}
	return 0
}

func (r *Run) killOne(component string, rng *rand.Rand) {
	switch component {
	case "store":
		r.killProcess(component, r.stores[rng.IntN(len(r.stores))])
	case "enrich":
		r.killProcess(component, r.enrich)
	case "detect":
		r.killProcess(component, r.detect)
	case "broker":
		if r.broker.process.Age() > r.broker.rest() {
			r.killProcess(component, r.broker.process)
		}
	case "tap":
		if n := rng.IntN(max(len(r.taps), 1)); n < len(r.taps) && r.taps[n].Age() > time.Second {
			r.killTap(n)
		}
	case "engine":
		if r.database.kill() {
			r.killed(component, "random", "engine")
		}
	}
}

func (r *Run) killProcess(component string, p *Process) {
	if p.Kill() {
		r.killed(component, "random", p.Name)
	}
}

// killed writes one kill into the report.
func (r *Run) killed(component, point, name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.kill(time.Since(r.started), component, point, name)
	r.event("kill %s, %s", name, point)
}

// processEnded is told of every end of a process.
func (r *Run) processEnded(p *Process, e ending) {
	switch {
	case e.ours:
	case e.killed:
		if point := r.points.hit(p.Name); point != "" {
			r.killed("store", point, p.Name)
			return
		}
		fallthrough
	default:
		r.mu.Lock()
		r.report.Alone[p.Name]++
		r.mu.Unlock()
		r.event("%s ended by itself with code %d after %s", p.Name, e.code, e.lived)
		r.log.Warn().Str("process", p.Name).Int("code", e.code).Dur("lived", e.lived).Err(errEndedAlone).Msg("process is started again")
	}
}

// disturb applies the faults beside kills, one after another.
func (r *Run) disturb(ctx context.Context) {
	faults := map[string]func(context.Context, *rand.Rand){
		"pause": r.pause, "network-database": r.breakDatabase, "network-broker": r.breakBroker, "storm": r.storm,
		"leaders": r.move("shuffle", "leaders"), "coordinators": r.move("rehash", "coordinators"), "full-disk": r.fillDisk,
		brutal: r.fillDiskBrutally,
	}
	var names []string
	for _, name := range append(FaultNames(), brutal) {
		if r.wants(name) && r.possible(name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return
	}
	rng := rand.New(rand.NewPCG(r.opt.Workload.Seed, 12)) //nolint:gosec // repeatable on purpose
	rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	for turn := 0; ; turn++ {
		if !sleep(ctx, time.Duration(float64(r.opt.Duration)/40*(0.5+rng.Float64()))) {
			return
		}
		name := names[turn%len(names)]
		r.mu.Lock()
		r.report.Faults[name]++
		r.mu.Unlock()
		r.event("begin %s", name)
		faults[name](ctx, rng)
		r.event("end %s", name)
	}
}

func (r *Run) possible(fault string) bool {
	switch fault {
	case "leaders", "coordinators":
		if r.broker.kind != Kfake {
			r.report.skip(fault, "one Apache Kafka node has no other to move to")
			return false
		}
	case "full-disk", brutal:
		return r.disk != nil
	}
	return true
}

// pause stops a role for longer than its session, so that the group goes on without it, and lets it come back.
func (r *Run) pause(ctx context.Context, rng *rand.Rand) {
	pool := append(slices.Clone(r.stores), r.enrich, r.detect)
	p := pool[rng.IntN(len(pool))]
	if p.Pause() {
		r.event("paused %s", p.Name)
		sleep(ctx, r.opt.Session+time.Duration(rng.IntN(3000))*time.Millisecond)
		p.Resume()
	}
}

// brokenFor is how long a network fault lasts.
func brokenFor(rng *rand.Rand) time.Duration {
	return time.Second + time.Duration(rng.IntN(4000))*time.Millisecond
}

func randomFault(rng *rand.Rand) faultproxy.Fault {
	modes := faultproxy.Modes()
	return faultproxy.Fault{Mode: modes[rng.IntN(len(modes))], Share: 0.3 + 0.7*rng.Float64(), Bytes: 1 << (6 + rng.IntN(14))}
}

func (r *Run) breakDatabase(ctx context.Context, rng *rand.Rand) {
	fault := randomFault(rng)
	r.event("connections to the database: %s, share %.2f, bytes %d", fault.Mode, fault.Share, fault.Bytes)
	r.database.proxy.Set(fault)
	sleep(ctx, brokenFor(rng))
	r.database.proxy.Set(faultproxy.Fault{})
}

func (r *Run) breakBroker(ctx context.Context, rng *rand.Rand) {
	for _, p := range r.broker.proxies {
		fault := randomFault(rng)
		r.event("connections to the broker: %s, share %.2f, bytes %d", fault.Mode, fault.Share, fault.Bytes)
		p.Set(fault)
	}
	sleep(ctx, brokenFor(rng))
	for _, p := range r.broker.proxies {
		p.Set(faultproxy.Fault{})
	}
}

// storm lets a further store join the group and leave it, every two seconds.
func (r *Run) storm(ctx context.Context, rng *rand.Rand) {
	extra, err := r.role("store-storm", "store", nil)
	if err != nil {
		return
	}
	for range 3 + rng.IntN(3) {
		if extra.Start() != nil || !sleep(ctx, 2*time.Second) {
			break
		}
		extra.Stop(10 * time.Second)
	}
	extra.Stop(10 * time.Second)
}

// move has kfake move leaders or coordinators a few times.
func (r *Run) move(order, name string) func(context.Context, *rand.Rand) {
	return func(ctx context.Context, rng *rand.Rand) {
		for range 1 + rng.IntN(4) {
			if !r.broker.order(order) {
				r.log.Warn().Str("fault", name).Msg("broker took no order")
			}
			if !sleep(ctx, 500*time.Millisecond) {
				return
			}
		}
	}
}

// fillDisk leaves the engine a few MiB, waits until it has used them up and refuses to write, and gives the space back.
func (r *Run) fillDisk(ctx context.Context, rng *rand.Rand) {
	const left, full = 8 << 20, 3 << 20
	if err := r.disk.shrink(left); err != nil {
		r.log.Warn().Err(err).Msg("disk could not be made small")
		return
	}
	for range 40 {
		if _, free, err := r.disk.used(); err != nil || free < full || !sleep(ctx, 250*time.Millisecond) {
			break
		}
	}
	sleep(ctx, time.Second+time.Duration(rng.IntN(3000))*time.Millisecond)
	_, free, _ := r.disk.used()
	r.event("the disk had %d KiB left", free>>10)
	if err := r.disk.free(); err != nil {
		r.log.Warn().Err(err).Msg("disk could not be freed")
	}
}

// fillDiskBrutally takes the last byte, also of what the engine has reserved. ClickHouse 26.7 then commits merged parts
// of empty files; the fault is there to show that, and is not part of a run unless it is named.
func (r *Run) fillDiskBrutally(ctx context.Context, rng *rand.Rand) {
	if err := r.disk.fill(); err != nil {
		r.log.Warn().Err(err).Msg("disk could not be filled")
	}
	sleep(ctx, time.Second+time.Duration(rng.IntN(3000))*time.Millisecond)
	if err := r.disk.free(); err != nil {
		r.log.Warn().Err(err).Msg("disk could not be freed")
	}
}

// calm ends every fault that could still be in force.
func (r *Run) calm() {
	r.points.disarm()
	for _, p := range append(r.broker.proxies, r.database.proxy) {
		p.Set(faultproxy.Fault{})
	}
	for _, p := range append(slices.Clone(r.stores), r.enrich, r.detect) {
		p.Resume()
	}
	for _, p := range r.stores {
		if r.points.armedNow(p.Name) {
			p.Kill() // not counted: it starts again without a failpoint
		}
	}
	r.allow(1)
	r.say("the last fault is over")
}

// sleep waits; false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
