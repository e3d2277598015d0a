package config

import (
	_ "embed"
	"fmt"
	"net"
	"reflect"
	"strings"

	"github.com/modeltrail/modeltrail/schemas/secret"
)

//go:embed example.yaml
var example []byte

// Example returns a commented configuration to start from. A test reads it.
func Example() []byte { return example }

// Warnings tells what is legal but unwise.
func (c Config) Warnings() []string {
	var out []string
	warn := func(when bool, format string, args ...any) {
		if when {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	for _, key := range literals("", reflect.ValueOf(c)) {
		warn(true, "%s stands in clear in the file; use {env: NAME} or {file: PATH}", key)
	}
	warn(c.Kafka.TLS.InsecureSkipVerify, "kafka.tls.insecure_skip_verify accepts any certificate")
	warn(c.Kafka.SASL.Mechanism != "" && !c.Kafka.TLS.Enabled, "kafka.sasl.mechanism %s without kafka.tls: who listens on the network can log in as this client", c.Kafka.SASL.Mechanism)
	warn(!local(c.Kafka.Brokers) && c.Kafka.SASL.Mechanism == "" && c.Kafka.TLS.CertFile == "", "kafka: neither sasl.mechanism nor tls.cert_file: the brokers do not know who this is")
	warn(!c.ClickHouse.Password.IsZero() && !c.ClickHouse.TLS.Enabled && !local(c.ClickHouse.Addr), "clickhouse.password without clickhouse.tls: who listens on the network can log in as this user")
	warn(c.ClickHouse.TLS.InsecureSkipVerify, "clickhouse.tls.insecure_skip_verify accepts any certificate")
	warn(len(c.Kafka.Brokers) > 1 && c.Kafka.Topics.ReplicationFactor < 3, "kafka.topics.replication_factor is %d: the loss of one broker can lose envelopes", c.Kafka.Topics.ReplicationFactor)
	warn(c.Directory.File == "", "directory.file is empty: every call will be of an unknown team")
	warn(len(c.Alert.Sinks) == 0, "alert.sinks is empty: findings reach nobody (`modeltrail up` writes alerts.jsonl)")
	warn(c.Receive.Listen != "" && c.Receive.Insecure, "receive.insecure is on: whoever reaches receive.listen may read or write what is sent there")
	warn(c.Receive.Listen != "" && len(c.Receive.Sources) == 0, "receive.sources is empty: whoever reaches receive.listen may write envelopes")
	warn(c.Admin.Pprof, "admin.pprof is on: profiles can reveal memory contents")
	host, _, err := net.SplitHostPort(c.Admin.Listen)
	warn(err == nil && host != "127.0.0.1" && host != "localhost" && host != "::1", "admin.listen %s is reachable from other hosts", c.Admin.Listen)
	return out
}

// local reports that all addresses are of this host.
func local(addresses []string) bool {
	for _, addr := range addresses {
		host, _, err := net.SplitHostPort(addr)
		if ip := net.ParseIP(host); err != nil || (host != "localhost" && (ip == nil || !ip.IsLoopback())) {
			return false
		}
	}
	return true
}

// literals returns the keys of the secrets that stand in the file itself.
func literals(path string, v reflect.Value) []string {
	var keys []string
	switch {
	case v.Type() == reflect.TypeFor[secret.Secret]():
		if v.Interface().(secret.Secret).Literal() {
			keys = append(keys, path)
		}
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			if name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ","); name != "" && name != "-" {
				keys = append(keys, literals(strings.TrimPrefix(path+"."+name, "."), v.Field(i))...)
			}
		}
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			keys = append(keys, literals(fmt.Sprintf("%s[%d]", path, i), v.Index(i))...)
		}
	}
	return keys
}
