// Holds a stream's later work back in core until something outside the plugin's reach has happened: a timeline of
// core's or of another plugin reached a value, a host function ran, a record that is itself held back was issued.
#pragma once

#include <flagos.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>

#include "core/command.hpp"

namespace flagos::core {

class Stream;

// Whether a command cannot be handed to this stream's plugin at once, so that it, and all behind it, must be queued.
bool needs_soft_queue(const Stream& stream, const Command& command);

// Appends to the stream's soft queue, starting it when there is none; under stream.rare_mutex. Never waits.
flagos_status_t soft_submit(Stream& stream, Command command);

// OK when the soft queue is empty, TIMEOUT while it is not; ends early when the stream dies or is lost.
flagos_status_t soft_synchronize(Stream& stream, std::uint64_t timeout_ns);

// Wakes the sequencer: some condition may have changed.
void soft_wake();

// Drops what is held back: records fail with `status`, host functions are called with it, timelines fail with it.
void soft_cancel(Stream& stream, flagos_status_t status);

// Ends the sequencer's thread; at the end of the last runtime.
void soft_shutdown();

}  // namespace flagos::core
