package provider

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"hash/fnv"
	"math"
)

type embeddingRequest struct {
	Model      string          `json:"model"`
	Input      json.RawMessage `json:"input"`
	Format     string          `json:"encoding_format"`
	Dimensions int             `json:"dimensions"`
}

type embedding struct {
	Object    string `json:"object"`
	Index     int    `json:"index"`
	Embedding any    `json:"embedding"`
}

type embeddingUsage struct {
	PromptTokens int `json:"prompt_tokens"`
	TotalTokens  int `json:"total_tokens"`
}

// embeddings answers POST /v1/embeddings: unit vectors that depend on the input only.
func embeddings(c *call) {
	var req embeddingRequest
	if !c.decode(&req) {
		return
	}
	inputs := embeddingInputs(req.Input)
	if req.Model == "" || len(inputs) == 0 {
		c.fail(400, "you must provide a model parameter and an input")
		return
	}
	if req.Dimensions <= 0 {
		req.Dimensions = 1536
	}
	data := make([]embedding, 0, len(inputs))
	for i, in := range inputs {
		v := vector(in, min(req.Dimensions, 4096))
		e := embedding{Object: "embedding", Index: i, Embedding: v}
		if req.Format == "base64" {
			raw := make([]byte, 0, 4*len(v))
			for _, x := range v {
				raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(x))
			}
			e.Embedding = base64.StdEncoding.EncodeToString(raw)
		}
		data = append(data, e)
	}
	if !c.sleep(c.script.Frame) {
		return
	}
	n := c.promptTokens()
	c.reply(200, struct {
		Object string         `json:"object"`
		Data   []embedding    `json:"data"`
		Model  string         `json:"model"`
		Usage  embeddingUsage `json:"usage"`
	}{"list", data, req.Model, embeddingUsage{n, n}})
}

// embeddingInputs reads a text, a list of texts, a list of tokens or a list of such lists.
func embeddingInputs(raw json.RawMessage) []string {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		return []string{one}
	}
	var many []json.RawMessage
	if json.Unmarshal(raw, &many) != nil || len(many) == 0 {
		return nil
	}
	if many[0][0] != '"' && many[0][0] != '[' {
		return []string{string(raw)}
	}
	texts := make([]string, len(many))
	for i, m := range many {
		texts[i] = string(m)
	}
	return texts
}

func vector(text string, n int) []float32 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(text)) // a hash never fails
	state, sum := h.Sum64()|1, 0.0
	v := make([]float32, n)
	for i := range v {
		state ^= state << 13
		state ^= state >> 7
		state ^= state << 17
		v[i] = float32(int32(state>>32)) / math.MaxInt32
		sum += float64(v[i]) * float64(v[i])
	}
	for i := range v {
		v[i] = float32(float64(v[i]) / math.Sqrt(sum))
	}
	return v
}

// modelIDs are what GET /v1/models lists.
var modelIDs = []string{"gpt-4o", "gpt-4o-mini", "gpt-5.5", "gpt-5.5-pro", "o3", "text-embedding-3-small", "text-embedding-3-large"}

func models(c *call) {
	type model struct {
		ID      string `json:"id"`
		Object  string `json:"object"`
		Created int64  `json:"created"`
		OwnedBy string `json:"owned_by"`
	}
	var list []model
	for _, id := range modelIDs {
		list = append(list, model{id, "model", 1715367049, "system"})
	}
	c.reply(200, struct {
		Object string  `json:"object"`
		Data   []model `json:"data"`
	}{"list", list})
}
