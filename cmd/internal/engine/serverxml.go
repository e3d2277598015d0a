package engine

import "text/template"

// serverXML is a single server on loopback without log tables, interserver ports or clusters.
var serverXML = template.Must(template.New("server").Parse(`<clickhouse>
  <logger><level>error</level><console>1</console></logger>
  <listen_host>{{.Host}}</listen_host>
  <http_port>{{.HTTPPort}}</http_port>
  <tcp_port>{{.NativePort}}</tcp_port>
  <path>{{.Dir}}/db/</path>
  <tmp_path>{{.Dir}}/tmp/</tmp_path>
  <user_files_path>{{.Dir}}/user_files/</user_files_path>
  <format_schema_path>{{.Dir}}/format_schemas/</format_schema_path>
  <users_config>{{.Dir}}/users.xml</users_config>
  <access_control_path>{{.Dir}}/access/</access_control_path>
  <timezone>UTC</timezone>
  <default_profile>default</default_profile>
  <default_database>default</default_database>
{{- if .MaxMemory}}
  <max_server_memory_usage>{{.MaxMemory}}</max_server_memory_usage>
{{- else}}
  <max_server_memory_usage_to_ram_ratio>0.5</max_server_memory_usage_to_ram_ratio>
{{- end}}
  <mark_cache_size>{{.MarkCache}}</mark_cache_size>
  <uncompressed_cache_size>0</uncompressed_cache_size>
  <background_pool_size>4</background_pool_size>
  <background_schedule_pool_size>16</background_schedule_pool_size>
</clickhouse>
`))

var serverUsersXML = template.Must(template.New("server users").Parse(`<clickhouse>
  <profiles>
    <default>
      <async_insert>0</async_insert>
      <log_queries>0</log_queries>
      <max_execution_time>{{.Timeout}}</max_execution_time>
    </default>
    <reader>
      <profile>default</profile>
      <readonly>2</readonly>
    </reader>
  </profiles>
  <users>
    <{{.Admin}}>
      <password_sha256_hex>{{.AdminDigest}}</password_sha256_hex>
      <networks><ip>127.0.0.1</ip><ip>::1</ip></networks>
      <profile>default</profile>
      <quota>default</quota>
      <access_management>1</access_management>
    </{{.Admin}}>
    <{{.Reader}}>
      <password_sha256_hex>{{.ReaderDigest}}</password_sha256_hex>
      <networks><ip>127.0.0.1</ip><ip>::1</ip></networks>
      <profile>reader</profile>
      <quota>default</quota>
      <grants>
        <query>GRANT SHOW, SELECT ON *.*</query>
      </grants>
    </{{.Reader}}>
  </users>
  <quotas><default/></quotas>
</clickhouse>
`))
