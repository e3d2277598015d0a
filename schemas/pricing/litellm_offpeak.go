package pricing

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// offPeak reads off_peak_pricing{..., windows[]{hours_utc, weekdays 1 = Monday ... 7}}. Hours that cannot be read make
// the whole entry unusable: the standard price would be wrong for part of the day.
func (e *litellmEntry) offPeak(r *Row) error {
	raw, ok := e.fields["off_peak_pricing"]
	if !ok {
		return nil
	}
	part := litellmEntry{key: e.key}
	if err := json.Unmarshal(raw, &part.fields); err != nil {
		return fmt.Errorf("off_peak_pricing: %w", err)
	}
	if zone := part.text("weekday_timezone"); zone != "" && zone != "UTC" {
		return errors.New("off_peak_pricing: weekdays of another time zone than UTC")
	}
	var windows []struct {
		Hours    json.RawMessage `json:"hours_utc"`
		Weekdays []int           `json:"weekdays"`
	}
	if err := json.Unmarshal(part.fields["windows"], &windows); err != nil || len(windows) == 0 {
		return errors.New("off_peak_pricing: windows are missing")
	}
	rates, err := part.rates("", "")
	if err != nil {
		return err
	}
	o := &OffPeak{Rates: rates}
	for _, w := range windows {
		days, err := isoDays(w.Weekdays)
		if err != nil {
			return err
		}
		var spans []string
		if json.Unmarshal(w.Hours, &spans) != nil {
			var span string
			if err := json.Unmarshal(w.Hours, &span); err != nil {
				return errors.New("off_peak_pricing: hours_utc is missing")
			}
			spans = []string{span}
		}
		for _, span := range spans {
			if o.Hours, err = appendSpan(o.Hours, days, span); err != nil {
				return err
			}
		}
	}
	r.OffPeak = o
	return nil
}

func isoDays(numbers []int) (days [7]bool, err error) {
	for _, n := range numbers {
		if n < 1 || n > 7 {
			return days, errors.New("off_peak_pricing: a weekday is not 1 to 7")
		}
		days[n%7] = true
	}
	return days, nil
}

// appendSpan reads "10:00-00:00"; a span that crosses midnight becomes two, the second on the following days.
func appendSpan(hours []Hours, days [7]bool, span string) ([]Hours, error) {
	first, last, ok := strings.Cut(span, "-")
	from, err1 := time.Parse("15:04", first)
	to, err2 := time.Parse("15:04", last)
	if !ok || err1 != nil || err2 != nil {
		return nil, errors.New("off_peak_pricing: hours_utc is not a span such as 10:00-18:00")
	}
	h := Hours{Days: days, From: from.Hour()*60 + from.Minute(), To: to.Hour()*60 + to.Minute()}
	switch {
	case h.To > h.From:
		return append(hours, h), nil
	case h.To == 0:
		h.To = 24 * 60
		return append(hours, h), nil
	default:
		next := Hours{To: h.To}
		for d, on := range days {
			next.Days[(d+1)%7] = on
		}
		h.To = 24 * 60
		return append(hours, h, next), nil
	}
}
