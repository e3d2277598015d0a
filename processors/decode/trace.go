package decode

// traceID returns the trace id of a W3C traceparent header (Trace Context, section 3.2.2), or "" when it is not valid.
func traceID(traceparent string) string {
	const (
		length = 55 // 2 version, 32 trace id, 16 parent id, 2 flags, 3 dashes
		start  = 3
		end    = 35
	)
	if len(traceparent) < length || (len(traceparent) > length && (traceparent[:2] == "00" || traceparent[length] != '-')) {
		return ""
	}
	if traceparent[:2] == "ff" || traceparent[2] != '-' || traceparent[end] != '-' || traceparent[52] != '-' {
		return ""
	}
	if !hex(traceparent[:2]) || !hex(traceparent[start:end]) || !hex(traceparent[36:52]) || !hex(traceparent[53:55]) {
		return ""
	}
	if zero(traceparent[start:end]) || zero(traceparent[36:52]) {
		return ""
	}
	return traceparent[start:end]
}

func hex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func zero(s string) bool {
	for i := range len(s) {
		if s[i] != '0' {
			return false
		}
	}
	return true
}
