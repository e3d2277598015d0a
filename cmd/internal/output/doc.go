// Package output renders the rows of a ClickHouse query as a table for people, as JSON lines, as CSV or as Parquet.
//
// Rows are streamed: memory is bounded by one page of a table or one row group of Parquet, never by the result.
// Values keep their meaning in every format: NULL is not zero and not empty text where the format can tell, decimals
// never pass through floating point, 64-bit integers keep all digits, times are UTC. Text that is not UTF-8, such as
// a digest, is written as 0x and hexadecimal digits.
package output
