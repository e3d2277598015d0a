// Package queries owns the canned compliance queries: questions that an auditor, a SOC analyst or a finance team
// asks again and again, each as one SQL file with a header that names its parameters.
//
// Values never enter the SQL text. A query has typed ClickHouse parameters ({team:String}), and Bind checks given
// values against the header and returns what the client sends beside the statement. Table names are unqualified:
// the connection's database decides. Times are UTC and spans are half open: from is included, to is not. Queries
// over calls by start time also bound the ingest time by a day less, which is what prunes monthly partitions; a
// source whose clock runs more than a day ahead would fall outside.
package queries
