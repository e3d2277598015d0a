package event

// SchemaVersion is the version written into every new envelope, event and finding, and into every row.
// It grows only when the meaning of an existing field changes; new fields keep it.
const SchemaVersion = 1

// Names of the topics. The prefix is configurable; these are the defaults.
const (
	TopicEnvelopes   = "modeltrail.envelopes"
	TopicEvents      = "modeltrail.events"
	TopicFindings    = "modeltrail.findings"
	TopicDeadLetters = "modeltrail.dlq"
	// TopicDirectory carries every version of the directory and of the price table with its effective time.
	TopicDirectory = "modeltrail.directory"
	// TopicSources carries the signed statements of every source about what it numbered and gave up.
	TopicSources = "modeltrail.sources"
)

// Values of ce_type (CloudEvents 1.0, Kafka protocol binding, binary content mode).
const (
	TypeRequest  = "com.modeltrail.envelope.request.v1"
	TypeResponse = "com.modeltrail.envelope.response.v1"
	TypeEvent    = "com.modeltrail.event.v1"
	TypeFinding  = "com.modeltrail.finding.v1"
	TypeSource   = "com.modeltrail.source.v1"
)

// ContentType is the Kafka header "content-type" of every protobuf value.
const ContentType = "application/protobuf"

// Unknown is the value of an identity that nothing names. It is a value, not an absence: it can be grouped and alerted on.
const Unknown = "unknown"
