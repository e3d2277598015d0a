package clickhouse

// Column types in the server's spelling: what DESCRIBE TABLE answers.
const (
	kindText       = "String"
	kindDictionary = "LowCardinality(String)"
	kindList       = "Array(LowCardinality(String))"
	kindBool       = "Bool"
	kindSeconds    = "DateTime('UTC')"
	kindMillis     = "DateTime64(3, 'UTC')"
	kindMicros     = "DateTime64(6, 'UTC')"
	kindCount      = "Nullable(UInt64)"
	kindMoney      = "Nullable(Decimal(18, 12))"
	kindInt32      = "Int32"
	kindInt64      = "Int64"
	kindUint16     = "UInt16"
	kindUint32     = "UInt32"
	kindUint64     = "UInt64"
	kindTexts      = "Map(LowCardinality(String), String)"
	kindCounts     = "Map(LowCardinality(String), UInt32)"
	kindTotals     = "Map(LowCardinality(String), UInt64)"

	enumStatus     = "Enum8('stored' = 1, 'rejected' = 2, 'repeated' = 3)"
	enumEpochState = "Enum8('unknown' = 0, 'running' = 1, 'closed' = 2, 'crashed' = 3)"
	enumPhase      = "Enum8('unknown' = 0, 'request' = 1, 'response' = 2)"
	enumDecision   = "Enum8('unknown' = 0, 'allow' = 1, 'deny' = 2, 'no_policy' = 3)"
	enumOutcome    = "Enum8('unknown' = 0, 'complete' = 1, 'client_abort' = 2, 'upstream_abort' = 3, 'no_response' = 4)"
	enumUsage      = "Enum8('unknown' = 0, 'provider' = 1, 'gateway' = 2, 'estimated' = 3, 'partial' = 4, 'none' = 5)"
	enumCost       = "Enum8('unknown' = 0, 'priced' = 1, 'unknown_model' = 2, 'no_usage' = 3, 'unpriced_unit' = 4, 'not_billed' = 5)"
	enumCapture    = "Enum8('unknown' = 0, 'metadata' = 1, 'hash' = 2, 'redacted' = 3, 'full' = 4)"
	enumState      = "Enum8('unknown' = 0, 'full' = 1, 'truncated' = 2, 'absent' = 3, 'binary' = 4, 'undecodable' = 5)"
	enumSeverity   = "Enum8('unknown' = 0, 'informational' = 1, 'low' = 2, 'medium' = 3, 'high' = 4, 'critical' = 5)"
)
