// Holds a stream's later work back in core until something outside the plugin's reach has happened: a timeline of
// core's or of another plugin reached a value, a host function ran, a record that is itself held back was issued.
//
// One thread per process, the sequencer, looks at the heads of all soft queues; it starts at the first use and ends
// with soft_shutdown. Host functions that core has to run itself run on up to 64 callback threads, so that a long one
// delays its own stream only. A stream whose soft queue ran empty takes the direct path again.
#pragma once

#include <flagos.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "core/command.hpp"

namespace flagos::core {

class Stream;

// Whether a command cannot be handed to this stream's plugin at once, so that it, and all behind it, must be queued.
bool needs_soft_queue(const Stream& stream, const Command& command);

// Appends to the stream's soft queue, starting it when there is none. Takes stream.rare_mutex itself. Never waits.
flagos_status_t soft_submit(Stream& stream, Command command);
// The same for commands that must stay together.
flagos_status_t soft_submit(Stream& stream, std::vector<Command> commands);

// Has `function` called when the work before is done, if the stream has a soft queue; else false, and nothing happened.
bool soft_notify(Stream& stream, std::function<void(flagos_status_t)> function);

// OK when what was in the soft queue at the call is done, TIMEOUT while it is not; ends early, with OK, when the queue
// was dropped, and with CANCELLED when the stream's handle was destroyed. The caller has left its read section (Pause)
// and keeps the stream by a Ref.
flagos_status_t soft_synchronize(Stream& stream, std::uint64_t timeout_ns);

// Wakes the sequencer: some condition may have changed. Cheap when there is none.
void soft_wake();

// Drops what is held back: records fail with `status`, host functions are called with it, timelines fail with it.
// Does not wait; soft_synchronize does.
void soft_cancel(Stream& stream, flagos_status_t status);

// Ends the sequencer's and the callback threads; at the end of the last runtime.
void soft_shutdown();

// Whether this stream's plugin can wait for the timeline, or signal it, by itself.
bool is_native_timeline(const Stream& stream, const Timeline& timeline);

}  // namespace flagos::core
