// Makes the n-th allocation, or system call, of a thread fail. The program's own malloc, mmap, ... come before those
// of libc for every library, so core and plugins see the fault as they would see an exhausted machine.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace flagos::faults {

// Bits: a plan is of one or several.
enum class Kind : unsigned {
  allocation = 1,
  mapping = 2,  // mmap, ftruncate
  opening = 4,  // open, memfd_create, pipe2
  thread = 8,   // pthread_create
  system_call = mapping | opening | thread,
};
enum class Lasting { once, from_then_on };

// False in a build with a sanitizer, which has an allocator of its own: then nothing ever fails.
bool available();

// Of the calling thread, until disarm: call number `nth` (from 1) of `kind` fails, or all from there on.
void arm(Kind kind, Lasting lasting, std::uint64_t nth);
// Keeps the count: resume goes on from there.
void pause();
void resume();
void disarm();
std::uint64_t failed();  // how many were made to fail since arm

// The same for all threads but the calling one, which is the only one that arms and disarms them.
void arm_others(Kind kind, Lasting lasting, std::uint64_t nth);
void disarm_others();
std::uint64_t failed_of_others();

// Where a loaded library is in memory.
struct Code {
  std::uintptr_t begin, end;
};
std::vector<Code> code_of(const std::string& file_name);
// From here on only calls made by this code count; none: all do. Libraries behind a plugin are then left alone.
void only_of(std::vector<Code> code);

// Blocks of memory that are allocated now, of all threads, and more or less than at the first call, which begins to count.
std::int64_t live_blocks();

// CLOCK_REALTIME is so far off for everybody in this process.
void move_clock(std::int64_t nanoseconds);

}  // namespace flagos::faults
