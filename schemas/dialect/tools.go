package dialect

import "github.com/modeltrail/modeltrail/schemas/event"

// Values of ToolCall.Type.
const (
	toolFunction = "function" // the caller runs it
	toolServer   = "server"   // the provider runs it
	toolMCP      = "mcp"
	toolBuiltin  = "builtin"
)

// tools collects tool calls, in streams piece by piece. The zero value with a call is ready.
type tools struct {
	call  *event.Call
	slots [maxToolCalls]slot // beside call.ToolCalls
}

// slot says which place of the answer a tool call came from, and what is known of its arguments' length.
type slot struct {
	choice, index int16
	arguments     int32 // bytes plus one; 0 = unknown
	pieces        bool  // arguments holds the sum of pieces
	billed        bool  // a web search that is charged
}

const maxArguments = 1<<31 - 2

// find returns the position of the latest call of a place, or -1.
func (t *tools) find(choice, index int32) int {
	for i := len(t.call.ToolCalls) - 1; i >= 0; i-- {
		if t.slots[i].choice == int16(choice) && t.slots[i].index == int16(index) {
			return i
		}
	}
	return -1
}

// add starts a call and returns its position, or -1 when there are too many.
func (t *tools) add(choice, index int32) int {
	n := len(t.call.ToolCalls)
	if n == maxToolCalls {
		return -1
	}
	t.slots[n] = slot{choice: int16(choice), index: int16(index)}
	if cap(t.call.ToolCalls) > n {
		t.call.ToolCalls = t.call.ToolCalls[:n+1]
		if old := t.call.ToolCalls[n]; old != nil {
			old.Reset()
			return n
		}
		t.call.ToolCalls[n] = new(event.ToolCall)
		return n
	}
	t.call.ToolCalls = append(t.call.ToolCalls, new(event.ToolCall))
	return n
}

// place returns the position of the call of a place, which it starts when there is none.
func (t *tools) place(choice, index int32) int {
	if i := t.find(choice, index); i >= 0 {
		return i
	}
	return t.add(choice, index)
}

// argue adds to the length of a call's arguments.
func (t *tools) argue(i int, n count) {
	if i >= 0 && n.known() {
		sum := min(max(int64(t.slots[i].arguments)-1, 0)+n.value(), maxArguments)
		t.slots[i].arguments = int32(known(sum))
	}
}

// settleArguments replaces the length of a call's arguments by a final one.
func (t *tools) settleArguments(i int, n count) {
	if i >= 0 && n.known() {
		t.slots[i].arguments = int32(known(min(n.value(), maxArguments)))
	}
}

// clear forgets all calls.
func (t *tools) clear() { t.call.ToolCalls = t.call.ToolCalls[:0] }

// finish writes the lengths into the calls.
func (t *tools) finish() {
	n := 0
	for i := range t.call.ToolCalls {
		if t.slots[i].arguments > 0 {
			n++
		}
	}
	if n == 0 {
		return
	}
	block := make([]int64, 0, n)
	for i, tc := range t.call.ToolCalls {
		if a := t.slots[i].arguments; a > 0 {
			block = append(block, int64(a)-1)
			tc.ArgumentsBytes = &block[len(block)-1]
		}
	}
}
