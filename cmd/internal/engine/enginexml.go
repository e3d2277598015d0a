package engine

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

// engineGrants is what any statement may do in the embedded engine. It leaves out every source outside the data
// folder (files, URLs, other databases, executables), access management, dictionaries, whose sources are not
// covered by those grants, and the statements that stop the engine. Backups go to one folder.
const engineGrants = "SHOW, SELECT, INSERT, ALTER, CREATE DATABASE, CREATE TABLE, CREATE VIEW, CREATE FUNCTION, " +
	"CREATE TEMPORARY TABLE, DROP DATABASE, DROP TABLE, DROP VIEW, DROP FUNCTION, UNDROP TABLE, TRUNCATE, OPTIMIZE, " +
	"CHECK, BACKUP, KILL QUERY, SYSTEM MERGES, SYSTEM TTL MERGES, SYSTEM FLUSH, SYSTEM DROP CACHE"

// engineXML keeps an idle engine small: few background threads, small caches, no log tables, UTC. The library replaces
// logger.level by log-level, without which it logs every step of every statement.
var engineXML = template.Must(template.New("engine").Parse(`<clickhouse>
  <path>{{.Path}}/</path>
  <users_config>{{.Users}}</users_config>
  <timezone>UTC</timezone>
  <log-level>error</log-level>
  <logger><console>1</console></logger>
{{- if .MaxMemory}}
  <max_server_memory_usage>{{.MaxMemory}}</max_server_memory_usage>
{{- else}}
  <max_server_memory_usage_to_ram_ratio>0.5</max_server_memory_usage_to_ram_ratio>
{{- end}}
  <mark_cache_size>{{.MarkCache}}</mark_cache_size>
  <uncompressed_cache_size>0</uncompressed_cache_size>
  <mmap_cache_size>16</mmap_cache_size>
  <background_pool_size>4</background_pool_size>
  <background_common_pool_size>2</background_common_pool_size>
  <background_move_pool_size>1</background_move_pool_size>
  <background_fetches_pool_size>1</background_fetches_pool_size>
  <background_schedule_pool_size>8</background_schedule_pool_size>
  <background_buffer_flush_schedule_pool_size>1</background_buffer_flush_schedule_pool_size>
  <background_message_broker_schedule_pool_size>1</background_message_broker_schedule_pool_size>
  <background_distributed_schedule_pool_size>1</background_distributed_schedule_pool_size>
  <backups><allowed_path>{{.Backups}}/</allowed_path></backups>
</clickhouse>
`))

var usersXML = template.Must(template.New("users").Parse(`<clickhouse>
  <profiles>
    <default>
      <async_insert>0</async_insert>
      <input_format_parallel_parsing>0</input_format_parallel_parsing>
      <implicit_select>0</implicit_select>
      <log_queries>0</log_queries>
      <query_profiler_real_time_period_ns>0</query_profiler_real_time_period_ns>
      <query_profiler_cpu_time_period_ns>0</query_profiler_cpu_time_period_ns>
      <http_max_tries>1</http_max_tries>
    </default>
  </profiles>
  <users>
    <default>
      <password></password>
      <networks><ip>127.0.0.1</ip></networks>
      <profile>default</profile>
      <quota>default</quota>
      <grants><query>GRANT {{.}} ON *.*</query></grants>
    </default>
  </users>
  <quotas><default/></quotas>
</clickhouse>
`))

// writeEngineConfig writes the two files the library reads at boot and returns the path of the first.
func writeEngineConfig(cfg childConfig) (string, error) {
	backups := filepath.Join(cfg.DataDir, "backups")
	if err := os.MkdirAll(backups, 0o700); err != nil {
		return "", fmt.Errorf("create backup folder: %w", err)
	}
	var users, config strings.Builder
	if err := usersXML.Execute(&users, engineGrants); err != nil {
		return "", fmt.Errorf("render users: %w", err)
	}
	usersPath, configPath := filepath.Join(cfg.DataDir, "users.xml"), filepath.Join(cfg.DataDir, "config.xml")
	err := engineXML.Execute(&config, map[string]any{
		"Path": xmlText(filepath.Join(cfg.DataDir, "db")), "Users": xmlText(usersPath), "Backups": xmlText(backups),
		"MaxMemory": cfg.MaxMemoryBytes, "MarkCache": cfg.MarkCacheBytes,
	})
	if err != nil {
		return "", fmt.Errorf("render config: %w", err)
	}
	if err := os.WriteFile(usersPath, []byte(users.String()), 0o600); err != nil {
		return "", fmt.Errorf("write users: %w", err)
	}
	if err := os.WriteFile(configPath, []byte(config.String()), 0o600); err != nil {
		return "", fmt.Errorf("write config: %w", err)
	}
	return configPath, nil
}

func xmlText(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}
