package clickhouse

import (
	"errors"

	clickhousego "github.com/ClickHouse/clickhouse-go/v2"
)

// Class says what a failed insert asks for.
type Class string

// The classes. Everything unknown is transient: repeating an insert with its token is harmless, giving up is not.
const (
	ClassTransient Class = "transient" // repeat
	ClassConfig    Class = "config"    // repeating helps only after an operator changed the server or the settings
	ClassPermanent Class = "permanent" // the server refuses these very rows
)

// classes by server exception code, from ClickHouse's src/Common/ErrorCodes.cpp.
var classes = map[int32]Class{
	8:   ClassConfig, // THERE_IS_NO_COLUMN
	10:  ClassConfig, // NOT_FOUND_COLUMN_IN_BLOCK
	16:  ClassConfig, // NO_SUCH_COLUMN_IN_TABLE
	20:  ClassConfig, // NUMBER_OF_COLUMNS_DOESNT_MATCH
	44:  ClassConfig, // ILLEGAL_COLUMN
	47:  ClassConfig, // UNKNOWN_IDENTIFIER
	53:  ClassConfig, // TYPE_MISMATCH
	60:  ClassConfig, // UNKNOWN_TABLE
	62:  ClassConfig, // SYNTAX_ERROR
	73:  ClassConfig, // UNKNOWN_FORMAT
	81:  ClassConfig, // UNKNOWN_DATABASE
	115: ClassConfig, // UNKNOWN_SETTING
	164: ClassConfig, // READONLY
	192: ClassConfig, // UNKNOWN_USER
	193: ClassConfig, // WRONG_PASSWORD
	194: ClassConfig, // REQUIRED_PASSWORD
	195: ClassConfig, // IP_ADDRESS_NOT_ALLOWED
	291: ClassConfig, // DATABASE_ACCESS_DENIED
	452: ClassConfig, // SETTING_CONSTRAINT_VIOLATION
	497: ClassConfig, // ACCESS_DENIED
	516: ClassConfig, // AUTHENTICATION_FAILED

	27:  ClassPermanent, // CANNOT_PARSE_INPUT_ASSERTION_FAILED
	41:  ClassPermanent, // CANNOT_PARSE_DATETIME
	69:  ClassPermanent, // ARGUMENT_OUT_OF_BOUND
	70:  ClassPermanent, // CANNOT_CONVERT_TYPE
	72:  ClassPermanent, // CANNOT_PARSE_NUMBER
	117: ClassPermanent, // INCORRECT_DATA
	128: ClassPermanent, // TOO_LARGE_ARRAY_SIZE
	131: ClassPermanent, // TOO_LARGE_STRING_SIZE
	321: ClassPermanent, // VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE
	349: ClassPermanent, // CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN
	407: ClassPermanent, // DECIMAL_OVERFLOW
	469: ClassPermanent, // VIOLATED_CONSTRAINT
	691: ClassPermanent, // UNKNOWN_ELEMENT_OF_ENUM

	3:   ClassTransient, // UNEXPECTED_END_OF_FILE: the connection broke inside the block
	32:  ClassTransient, // ATTEMPT_TO_READ_AFTER_EOF
	33:  ClassTransient, // CANNOT_READ_ALL_DATA
	159: ClassTransient, // TIMEOUT_EXCEEDED
	160: ClassTransient, // TOO_SLOW
	198: ClassTransient, // DNS_ERROR
	202: ClassTransient, // TOO_MANY_SIMULTANEOUS_QUERIES
	203: ClassTransient, // NO_FREE_CONNECTION
	209: ClassTransient, // SOCKET_TIMEOUT
	210: ClassTransient, // NETWORK_ERROR
	225: ClassTransient, // NO_ZOOKEEPER
	236: ClassTransient, // ABORTED
	241: ClassTransient, // MEMORY_LIMIT_EXCEEDED
	242: ClassTransient, // TABLE_IS_READ_ONLY
	243: ClassTransient, // NOT_ENOUGH_SPACE
	252: ClassTransient, // TOO_MANY_PARTS
	279: ClassTransient, // ALL_CONNECTION_TRIES_FAILED
	285: ClassTransient, // TOO_FEW_LIVE_REPLICAS
	286: ClassTransient, // UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE
	319: ClassTransient, // UNKNOWN_STATUS_OF_INSERT
	394: ClassTransient, // QUERY_WAS_CANCELLED
	439: ClassTransient, // CANNOT_SCHEDULE_TASK
	999: ClassTransient, // KEEPER_EXCEPTION
}

// Classify names the class of an error of an insert. Errors without a server's code, such as a broken connection,
// are transient.
func Classify(err error) Class {
	if errors.Is(err, errTooLarge) {
		return ClassPermanent
	}
	var exception *clickhousego.Exception
	if errors.As(err, &exception) {
		if class, ok := classes[exception.Code]; ok {
			return class
		}
	}
	return ClassTransient
}
