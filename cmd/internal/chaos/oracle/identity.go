package oracle

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/modeltrail/modeltrail/cmd/internal/chaos/workload"
)

const unknown = "unknown"

// identity is who called, by the directory file.
type identity struct {
	principal, kind, team, app, owner, purpose, costCenter, source string
}

func identityOf(c *workload.Call) identity {
	if c.Caller.ID == "" {
		return identity{unknown, unknown, unknown, unknown, unknown, unknown, unknown, "none"}
	}
	t := strconv.Itoa(c.Caller.Team)
	return identity{
		c.Caller.ID, "service", "team-" + t, "app-" + strconv.Itoa(c.Caller.App), "owner-" + t + "@example.com",
		"purpose " + strconv.Itoa(c.Caller.App), "CC-" + t, "credential",
	}
}

// verdict is what the policies of the directory file say of one phase of a call.
type verdict struct{ policy, version, decision, rule, reason string }

// judged applies the four sentences above workload.Directory.
func judged(c *workload.Call, id identity, response bool) verdict {
	policy, version := "", ""
	if c.Caller.Team >= 0 && c.Caller.Team < 3 {
		policy, version = fmt.Sprintf("policy-%d", c.Caller.Team), "1"
	}
	deny := func(rule, reason string) verdict { return verdict{policy, version, "deny", rule, reason} }
	if c.Caller.Status == "revoked" {
		return deny("credential.revoked", "the credential was revoked before this call")
	}
	switch id.team {
	case "team-0":
		if c.Model == "o4-mini" {
			return deny("models.deny", "model o4-mini is in models.deny of policy policy-0")
		}
	case "team-1":
		if !strings.HasPrefix(c.Model, "claude-") {
			return deny("models.allow", "model "+c.Model+" is outside models.allow of policy policy-1")
		}
	case "team-2":
		switch {
		case response && c.Tool != nil && c.Tool.Name == "send_mail":
			return deny("tools.deny", "called tool send_mail is in tools.deny of policy policy-2")
		case !response && c.Kind != workload.Embeddings:
			return deny("tools.deny", "offered tool send_mail is in tools.deny of policy policy-2")
		}
	default:
		return verdict{"", "", "no_policy", "", "no policy governs this call"}
	}
	return verdict{policy, version, "allow", "", ""}
}

// Finding is a conclusion that the detectors must draw, once.
type Finding struct {
	Key      string
	Detector string
	Phase    int // of the record that shows it
}

// Findings returns the conclusions that call i gives rise to; other calls give rise to the same ones.
func Findings(w *workload.Workload, i int) []Finding {
	c := w.Call(i)
	if c.Poison != workload.NoPoison {
		return nil
	}
	var out []Finding
	id := identityOf(&c)
	day := strconv.FormatInt(c.Started/int64(24*time.Hour), 10) // a workload lies within one UTC day
	for phase := 1; phase <= 2; phase++ {
		if c.Caller.Status == unknown || c.Caller.Status == "revoked" {
			out = append(out, Finding{key("unknown_credential", c.Caller.Status, c.Caller.Fingerprint, day), "unknown_credential", phase})
			continue
		}
		if v := judged(&c, id, phase == 2); v.decision == "deny" {
			out = append(out, Finding{key("out_of_scope", id.team, id.app, c.Caller.Fingerprint, v.rule, c.Model, day), "out_of_scope", phase})
		}
	}
	return slices.CompactFunc(out, func(a, b Finding) bool { return a.Key == b.Key && a.Phase == b.Phase })
}

// key names a conclusion: the first 16 bytes of SHA-256 over the parts, each behind its length in eight bytes.
func key(parts ...string) string {
	var b []byte
	for _, p := range parts {
		b = binary.BigEndian.AppendUint64(b, uint64(len(p)))
		b = append(b, p...)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16])
}
