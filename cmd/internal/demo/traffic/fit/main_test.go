package main

import (
	"bytes"
	"go/format"
	"math"
	"os"
	"strings"
	"testing"
)

func TestFit_Extract_GivesItsPercentiles(t *testing.T) {
	in, err := os.Open("testdata/conv_500.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	f, err := fit(in)
	if err != nil {
		t.Fatal(err)
	}
	if f.Rows != 500 || len(f.Context) != 101 || len(f.Generated) != 101 || len(f.Gap) != 101 {
		t.Fatalf("%d rows", f.Rows)
	}
	for _, q := range [][]float64{f.Context, f.Generated, f.Gap} {
		for i := 1; i < len(q); i++ {
			if q[i] < q[i-1] {
				t.Fatal("percentiles fall")
			}
		}
	}
	if f.Context[0] < 1 || f.Gap[0] < 0 || f.MeanGap <= 0 || math.Abs(f.Correlation) > 1 {
		t.Errorf("%+v", f)
	}
	var out bytes.Buffer
	if err := write(&out, f); err != nil {
		t.Fatal(err)
	}
	if _, err := format.Source(out.Bytes()); err != nil || !strings.Contains(out.String(), "CC-BY 4.0") {
		t.Errorf("no valid source: %v", err)
	}
}

func TestSpearman_KnownValues(t *testing.T) {
	for _, tc := range []struct {
		x, y []float64
		want float64
	}{
		{[]float64{1, 2, 3, 4}, []float64{10, 20, 25, 90}, 1},
		{[]float64{1, 2, 3, 4}, []float64{4, 3, 2, 1}, -1},
		{[]float64{1, 2, 2, 3}, []float64{1, 2, 2, 3}, 1},
	} {
		if got := spearman(tc.x, tc.y); math.Abs(got-tc.want) > 1e-9 {
			t.Errorf("%v %v: %v", tc.x, tc.y, got)
		}
	}
}

func TestQuantiles_Interpolate(t *testing.T) {
	q := quantiles([]float64{0, 10})
	if q[0] != 0 || q[50] != 5 || q[100] != 10 {
		t.Error(q)
	}
}

func TestFit_BadRows_AreNamed(t *testing.T) {
	for _, in := range []string{"", "a,b,c\n", "a,b,c\n2023-11-16 18:15:46.68,x,1\n2023-11-16 18:15:46.68,1,1\n"} {
		if _, err := fit(strings.NewReader(in)); err == nil {
			t.Errorf("%q was accepted", in)
		}
	}
}
