// Package background gives way to calls: what the audit computes runs on threads of the lowest priority.
package background
