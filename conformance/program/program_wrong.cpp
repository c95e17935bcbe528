// Calls that must be refused: arguments out of their range, and handles that are nobody's, or of something else.
#include "conformance/program/expect.hpp"

namespace flagos::conformance {
namespace {

constexpr std::size_t most_retired = 64;

}  // namespace

void RandomProgram::retire(const void* handle) {
  retired_.push_back(reinterpret_cast<std::uint64_t>(handle));
  if (retired_.size() > most_retired) retired_.pop_front();
}

// NULL, one of ours that was destroyed, a live one of another type, a number of a generation that nothing has reached.
template <typename Object>
Object* RandomProgram::no_handle() {
  switch (choices_.below(4)) {
    case 0:
      return nullptr;
    case 1:
      if (retired_.empty()) return nullptr;
      return reinterpret_cast<Object*>(
          retired_[choices_.below(static_cast<std::uint32_t>(retired_.size()))]);
    case 2:
      return reinterpret_cast<Object*>(places_[any_place()].device);
    default:
      return reinterpret_cast<Object*>(
          (std::uint64_t{0x80000000u | choices_.below(1u << 30)} << 32) | choices_.below(1u << 20));
  }
}

void RandomProgram::bad_handle() {
  const StreamPointer stream = stream_of(any_place());
  flagos_stream_t* const no_stream = no_handle<flagos_stream_t>();
  flagos_event_t* const no_event = no_handle<flagos_event_t>();
  flagos_timeline_t* const no_timeline = no_handle<flagos_timeline_t>();
  flagos_graph_exec_t* const no_exec = no_handle<flagos_graph_exec_t>();
  flagos_graph_t* const no_graph = no_handle<flagos_graph_t>();
  flagos_memory_pool_t* const no_pool = no_handle<flagos_memory_pool_t>();
  flagos_kernel_t* const no_kernel = no_handle<flagos_kernel_t>();
  std::uint32_t word = 0;
  std::uint64_t value = 0;
  flagos_address_t address = 0;
  flagos_graph_t* graph = nullptr;
  flagos_graph_exec_t* exec = nullptr;
  flagos_launch_desc_t launch{};
  launch.struct_size = sizeof(launch);
  launch.grid[0] = launch.grid[1] = launch.grid[2] = launch.block[0] = launch.block[1] =
      launch.block[2] = 1;
  constexpr auto refused = FLAGOS_STATUS_INVALID_HANDLE;
  switch (choices_.below(24)) {
    case 0:
      FLAGOS_EXPECT_STATUS(refused, flagos_stream_query, no_stream, &word);
      break;
    case 1:
      FLAGOS_EXPECT_STATUS(refused, flagos_stream_synchronize, no_stream, patience_ns);
      break;
    case 2:
      FLAGOS_EXPECT_STATUS(refused, flagos_stream_wait_event, stream->handle, no_event);
      break;
    case 3:
      FLAGOS_EXPECT_STATUS(refused, flagos_stream_wait_timeline, stream->handle, no_timeline, 1);
      break;
    case 4:
      FLAGOS_EXPECT_STATUS(refused, flagos_stream_signal_timeline, stream->handle, no_timeline, 1);
      break;
    case 5:
      FLAGOS_EXPECT_STATUS(refused, flagos_event_record, no_event, stream->handle);
      break;
    case 6:
      FLAGOS_EXPECT_STATUS(refused, flagos_event_query, no_event, &word);
      break;
    case 7:
      FLAGOS_EXPECT_STATUS(refused, flagos_event_synchronize, no_event, patience_ns);
      break;
    case 8:
      FLAGOS_EXPECT_STATUS(refused, flagos_timeline_query, no_timeline, &value);
      break;
    case 9:
      FLAGOS_EXPECT_STATUS(refused, flagos_timeline_signal, no_timeline, 1);
      break;
    case 10:
      FLAGOS_EXPECT_STATUS(refused, flagos_timeline_wait, 1, &no_timeline, &value,
                           FLAGOS_WAIT_MODE_ALL, 0, nullptr);
      break;
    case 11:
      FLAGOS_EXPECT_STATUS(refused, flagos_graph_exec_launch, no_exec, stream->handle);
      break;
    case 12:
      FLAGOS_EXPECT_STATUS(refused, flagos_graph_instantiate, no_graph, &exec);
      break;
    case 13:
      FLAGOS_EXPECT_STATUS(refused, flagos_graph_clone, no_graph, &graph);
      break;
    case 14:
      FLAGOS_EXPECT_STATUS(refused, flagos_memory_pool_alloc, no_pool, stream->handle, 16,
                           &address);
      break;
    case 15:
      FLAGOS_EXPECT_STATUS(refused, flagos_memory_pool_trim, no_pool, 0);
      break;
    case 16:
      FLAGOS_EXPECT_STATUS(refused, flagos_kernel_launch, stream->handle, no_kernel, &launch);
      break;
    case 17:
      FLAGOS_EXPECT_STATUS(refused, flagos_kernel_launch, no_stream, no_kernel, &launch);
      break;
    case 18:
      FLAGOS_EXPECT_STATUS(refused, flagos_stream_begin_capture, no_stream);
      break;
    case 19:
      FLAGOS_EXPECT_STATUS(refused, flagos_stream_end_capture, no_stream, &graph);
      break;
    case 20:
      FLAGOS_EXPECT_STATUS(refused, flagos_stream_reset, no_stream);
      break;
    case 21:
      if (no_stream != nullptr) FLAGOS_EXPECT_STATUS(refused, flagos_stream_destroy, no_stream);
      break;
    case 22:
      if (no_event != nullptr) FLAGOS_EXPECT_STATUS(refused, flagos_event_destroy, no_event);
      break;
    default:
      if (no_exec != nullptr) FLAGOS_EXPECT_STATUS(refused, flagos_graph_exec_destroy, no_exec);
      break;
  }
  demand(address == 0 && graph == nullptr && exec == nullptr && word == 0,
         "a failing call gives nothing");
}

void RandomProgram::bad_arguments() {
  if (buffers_.empty()) return make_buffer();
  const BufferPointer buffer = any_buffer();
  const Place& here = places_[buffer->place];
  const StreamPointer stream = stream_of(buffer->place);
  const std::uint64_t size = buffer->bytes.size();
  const std::uint32_t word = 1;
  constexpr auto wrong = FLAGOS_STATUS_INVALID_ARGUMENT;
  flagos_memory_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
  desc.size_bytes = 64;
  flagos_address_t address = 0;
  flagos_stream_t* no_stream = nullptr;
  switch (choices_.below(16)) {
    case 0:
      FLAGOS_EXPECT_STATUS(wrong, flagos_memory_fill, stream->handle, buffer->address, &word, 3, 3);
      break;
    case 1:
      // Behind a block of a pool lies more of the pool.
      if (buffer->pool != nullptr) return;
      FLAGOS_EXPECT_STATUS(wrong, flagos_memory_fill, stream->handle, buffer->address, &word, 4,
                           size + 65536);
      break;
    case 2:
      FLAGOS_EXPECT_STATUS(wrong, flagos_memory_fill, stream->handle, buffer->address + 2, &word, 4,
                           4);
      break;
    case 3:
      FLAGOS_EXPECT_STATUS(wrong, flagos_memory_copy, stream->handle, buffer->address, 0, 4);
      break;
    case 4:
      FLAGOS_EXPECT_STATUS(wrong, flagos_memory_copy, stream->handle, buffer->address,
                           buffer->address, UINT64_MAX);
      break;
    case 5:
      FLAGOS_EXPECT_STATUS(wrong, flagos_memory_update, stream->handle, buffer->address, &word,
                           FLAGOS_MEMORY_UPDATE_MAX + 1);
      break;
    case 6:
      FLAGOS_EXPECT_STATUS(wrong, flagos_stream_write_value, stream->handle, buffer->address, 0, 3);
      break;
    case 7:
      desc.kind = 99;
      FLAGOS_EXPECT_STATUS(wrong, flagos_memory_alloc, here.device, &desc, &address);
      break;
    case 8:
      desc.alignment_bytes = 3;
      FLAGOS_EXPECT_STATUS(wrong, flagos_memory_alloc, here.device, &desc, &address);
      break;
    case 9:
      desc.flags = 1u << 20;
      FLAGOS_EXPECT_STATUS(FLAGOS_STATUS_UNSUPPORTED, flagos_memory_alloc, here.device, &desc,
                           &address);
      break;
    case 10:
      desc.struct_size = choices_.below(16);
      FLAGOS_EXPECT_STATUS(FLAGOS_STATUS_INVALID_STRUCT_SIZE, flagos_memory_alloc, here.device,
                           &desc, &address);
      break;
    case 11:
      desc.size_bytes = UINT64_MAX / 2;
      FLAGOS_EXPECT_STATUS(FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY, flagos_memory_alloc, here.device,
                           &desc, &address);
      break;
    case 12:
      FLAGOS_EXPECT_STATUS(wrong, flagos_memory_alloc, here.device, &desc, nullptr);
      break;
    case 13:
      FLAGOS_EXPECT_STATUS(FLAGOS_STATUS_INVALID_HANDLE, flagos_memory_free, here.device,
                           buffer->address + 1);
      break;
    case 14:
      FLAGOS_EXPECT_STATUS(wrong, flagos_stream_create, here.device, nullptr, nullptr);
      break;
    default:
      FLAGOS_EXPECT_STATUS(FLAGOS_STATUS_NOT_PERMITTED, flagos_stream_end_capture, stream->handle,
                           reinterpret_cast<flagos_graph_t**>(&no_stream));
      break;
  }
  demand(address == 0 && no_stream == nullptr, "a failing call gives nothing");
}

// Puts one of ours on the board.
void RandomProgram::show() {
  const std::uint32_t slot = choices_.below(Board::slots);
  switch (choices_.below(3)) {
    case 0:
      if (!streams_.empty())
        board_.show(Board::stream, slot, reinterpret_cast<std::uint64_t>(streams_.back()->handle));
      break;
    case 1:
      if (!events_.empty())
        board_.show(Board::event, slot, reinterpret_cast<std::uint64_t>(events_.back().handle));
      break;
    default:
      if (!timelines_.empty())
        board_.show(Board::timeline, slot,
                    reinterpret_cast<std::uint64_t>(timelines_.back().handle));
      break;
  }
}

// What another program made, and may be destroying now: every answer is one of a living object, or that it is none.
void RandomProgram::foreign_handle() {
  const std::uint32_t slot = choices_.below(Board::slots);
  auto* const stream = reinterpret_cast<flagos_stream_t*>(board_.look(Board::stream, slot));
  auto* const event = reinterpret_cast<flagos_event_t*>(board_.look(Board::event, slot));
  auto* const timeline = reinterpret_cast<flagos_timeline_t*>(board_.look(Board::timeline, slot));
  constexpr std::uint64_t a_moment_ns = 100'000;
  constexpr auto gone = FLAGOS_STATUS_INVALID_HANDLE, cancelled = FLAGOS_STATUS_CANCELLED;
  std::uint32_t word = 0;
  std::uint64_t value = 0;
  switch (choices_.below(7)) {
    case 0:
      expect({FLAGOS_STATUS_OK, gone}, "flagos_stream_query",
             [&] { return flagos_stream_query(stream, &word); });
      break;
    case 1:
      expect({FLAGOS_STATUS_OK, FLAGOS_STATUS_TIMEOUT, gone, cancelled},
             "flagos_stream_synchronize",
             [&] { return flagos_stream_synchronize(stream, a_moment_ns); });
      break;
    case 2:
      expect({FLAGOS_STATUS_OK, gone}, "flagos_event_query",
             [&] { return flagos_event_query(event, &word); });
      break;
    case 3:
      expect({FLAGOS_STATUS_OK, FLAGOS_STATUS_TIMEOUT, gone, cancelled}, "flagos_event_synchronize",
             [&] { return flagos_event_synchronize(event, a_moment_ns); });
      break;
    case 4: {
      // The event may be recorded on a stream that waits for ours: nothing of ours is queued behind it but what it knows.
      const StreamPointer own = stream_of(any_place());
      expect({FLAGOS_STATUS_OK, gone}, "flagos_stream_wait_event",
             [&] { return flagos_stream_wait_event(own->handle, event); });
      ++own->submitted;
      break;
    }
    case 5:
      expect({FLAGOS_STATUS_OK, gone}, "flagos_timeline_query",
             [&] { return flagos_timeline_query(timeline, &value); });
      break;
    default:
      expect({FLAGOS_STATUS_OK, FLAGOS_STATUS_TIMEOUT, gone, cancelled}, "flagos_timeline_wait",
             [&] {
               return flagos_timeline_wait(1, &timeline, &value, FLAGOS_WAIT_MODE_ALL, a_moment_ns,
                                           nullptr);
             });
      break;
  }
}

}  // namespace flagos::conformance
