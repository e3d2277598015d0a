package tapscene

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestTheMedianDifferenceIsThatOfNeighbouringTurns_WhateverElseTheMachineDoes(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var plain, tap [][]time.Duration
	for i := range 40 {
		base := time.Duration(500+100*i) * time.Microsecond // the machine slows down
		if i%10 == 3 {
			base *= 20 // and stalls
		}
		var p, q []time.Duration
		for range 100 {
			d := base + time.Duration(random.IntN(5000))
			p, q = append(p, d), append(q, d+30*time.Microsecond)
		}
		plain, tap = append(plain, p), append(tap, q)
	}
	if got := ByTurns(plain, tap, 0.5); got != "+30 (+30 to +30)" {
		t.Errorf("median difference %s", got)
	}
	if got := ByTurns(plain[:minTurns-1], tap, 0.5); got != "-" {
		t.Errorf("%s of too few turns", got)
	}
}
