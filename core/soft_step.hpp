// How the sequencer moves one soft queue.
#pragma once

#include <functional>

namespace flagos::core {

class Stream;

struct SoftProgress {
  bool moved = false;  // a command went
  bool polls = false;  // what the first one waits for tells nobody: look again soon
  bool empty = false;  // the stream is on the direct path again
};

// Hands on all commands that need not wait any more. By the sequencer's thread only; outside a read section.
SoftProgress soft_advance(Stream& stream);

// Runs a host function on a callback thread; throws when there is none.
void run_callback(std::function<void()> function);

}  // namespace flagos::core
