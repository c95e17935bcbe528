// What a stream asks of the host: host functions, and copies of ordinary host memory.
#include <algorithm>
#include <cstring>

#include "plugins/vulkan/device.hpp"
#include "plugins/vulkan/queue.hpp"
#include "plugins/vulkan/stream.hpp"

namespace flagos::vulkan {
namespace {

// A copy of ordinary memory runs inside the call when nothing is before it and it is this small.
constexpr std::uint64_t inline_copy_bytes = 4 << 20;
constexpr std::uint64_t staging_piece = 2 << 20;

std::byte* pointer(const Block* block, std::uint64_t address) {
  return block == nullptr ? reinterpret_cast<std::byte*>(address)
                          : block->host() + (address - block->address());
}

}  // namespace

void Stream::copy(std::uint64_t target, std::uint64_t source, std::uint64_t bytes) {
  Command command(Command::Type::copy);
  command.target = target;
  command.source = source;
  command.bytes = bytes;
  Lock lock(device_);
  if (bytes > inline_copy_bytes) {
    submit(std::move(command));
    return;
  }
  // Counts as one who waits, so that the copy, if it is the host's, is left to this thread.
  begin_wait(inline_copy_bytes);
  try {
    submit(std::move(command));
  } catch (...) {
    end_wait();
    throw;
  }
  if (hold_ == Hold::host_queued && pending_.size() == 1 && may_be_stolen()) run_host(lock.raw());
  end_wait();
}

void Stream::fill(std::uint64_t target, const void* pattern, std::uint32_t pattern_bytes,
                  std::uint64_t bytes) {
  Command command(Command::Type::fill);
  command.target = target;
  command.bytes = bytes;
  command.pattern_bytes = pattern_bytes;
  std::memcpy(&command.value, pattern, pattern_bytes);
  Lock lock(device_);
  submit(std::move(command));
}

void Stream::run_host(std::unique_lock<std::mutex>& lock) noexcept {
  is_in_pool_ = false;
  if (hold_ != Hold::host_queued) return;
  hold_ = Hold::host_running;
  const Command::Type type = pending_.front().type;
  const bool is_profiled =
      pending_.front().correlation != 0 && (!failure_ || type == Command::Type::host);
  const std::uint64_t started_ns = is_profiled ? monotonic_ns() : 0;
  if (type == Command::Type::host) {
    const flagos_host_function_t function = pending_.front().function;
    void* const user_data = pending_.front().user_data;
    const flagos_status_t status = failure_ ? failure_->status() : FLAGOS_STATUS_OK;
    lock.unlock();
    function(user_data, status);
    lock.lock();
  } else if (!failure_) {
    guard([&] { type == Command::Type::copy ? copy_on_host(lock) : fill_on_host(lock); },
          [&](flagos_status_t status, const char* text) { poison(make_failure(status, text)); });
  }
  if (is_profiled) profile_.emit_host(pending_.front(), started_ns, monotonic_ns());
  executed_ = pending_.front().sequence;
  pending_.pop();
  hold_ = Hold::none;
  pump();
}

void Stream::copy_on_host(std::unique_lock<std::mutex>& lock) {
  const Command& command = pending_.front();
  const Block* target = device_.heap().find(command.target);
  const Block* source = device_.heap().find(command.source);
  const auto is_out_of_reach = [](const Block* block) {
    return block != nullptr && block->host() == nullptr;
  };
  if (is_out_of_reach(target) || is_out_of_reach(source) || device_.needs_staging()) {
    if (target != nullptr || source != nullptr) {
      copy_staged(target != nullptr, lock);
      return;
    }
  }
  std::byte* to = pointer(target, command.target);
  const std::byte* from = pointer(source, command.source);
  const std::uint64_t bytes = command.bytes;
  lock.unlock();
  std::memmove(to, from, bytes);
  lock.lock();
}

// Two pieces of memory that host and device reach, used in turn: while the device works on one, the
// host works on the other.
void Stream::copy_staged(bool to_device, std::unique_lock<std::mutex>& lock) {
  if (!staging_)
    staging_ = std::make_unique<Block>(device_, 2 * staging_piece, FLAGOS_MEMORY_KIND_PINNED);
  const std::uint64_t bytes = pending_.front().bytes;
  const std::uint64_t device_address =
      to_device ? pending_.front().target : pending_.front().source;
  auto* const ordinary =
      reinterpret_cast<std::byte*>(to_device ? pending_.front().source : pending_.front().target);
  const Block& block = *device_.heap().find(device_address);
  const std::uint64_t first = block.offset_of(device_address);
  const std::uint64_t count = (bytes + staging_piece - 1) / staging_piece;
  std::uint64_t values[2] = {0, 0};  // the batch that uses a piece
  const auto size_of = [&](std::uint64_t i) {
    return std::min(staging_piece, bytes - i * staging_piece);
  };
  const auto queue_piece = [&](std::uint64_t i) {
    const std::uint64_t at = first + i * staging_piece;
    const std::uint64_t piece = i % 2 * staging_piece;
    if (to_device)
      record_copy(block, at, *staging_, piece, size_of(i));
    else
      record_copy(*staging_, piece, block, at, size_of(i));
    if (open_) flush();
    if (failure_) throw Error(*failure_);
    values[i % 2] = last_value_;
  };
  if (!to_device) queue_piece(0);
  for (std::uint64_t i = 0; i < count; ++i) {
    std::byte* const staged = staging_->host() + i % 2 * staging_piece;
    std::byte* const host = ordinary + i * staging_piece;
    if (!to_device && i + 1 < count) queue_piece(i + 1);
    lock.unlock();
    VkResult result = VK_SUCCESS;
    if (values[i % 2] != 0) do
        result = queue_.wait_for(values[i % 2], UINT64_MAX);
      while (result == VK_TIMEOUT);
    if (result >= VK_SUCCESS)
      to_device ? std::memcpy(staged, host, size_of(i)) : std::memcpy(host, staged, size_of(i));
    lock.lock();
    queue_.reap();
    check(result, "vkWaitSemaphores of a staged copy");
    if (to_device) queue_piece(i);
  }
}

void Stream::fill_on_host(std::unique_lock<std::mutex>& lock) {
  const Command& command = pending_.front();
  auto* const target = reinterpret_cast<std::uint8_t*>(command.target);
  const std::uint64_t bytes = command.bytes;
  const std::uint64_t value = command.value;
  const std::uint32_t pattern_bytes = command.pattern_bytes;
  lock.unlock();
  for (std::uint64_t i = 0; i < bytes; i += pattern_bytes)
    std::memcpy(target + i, &value, pattern_bytes);
  lock.lock();
}

}  // namespace flagos::vulkan
