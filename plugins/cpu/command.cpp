#include "plugins/cpu/command.hpp"

#include <new>

#include "plugins/cpu/communicator.hpp"

namespace flagos::cpu {

void destroy_command(Command& command) noexcept {
  switch (command.type) {
    case CommandType::update:
      return static_cast<UpdateCommand&>(command).~UpdateCommand();
    case CommandType::record:
      return static_cast<RecordCommand&>(command).~RecordCommand();
    case CommandType::wait_record:
      return static_cast<WaitRecordCommand&>(command).~WaitRecordCommand();
    case CommandType::wait_timeline:
      return static_cast<WaitTimelineCommand&>(command).~WaitTimelineCommand();
    case CommandType::signal_timeline:
      return static_cast<SignalTimelineCommand&>(command).~SignalTimelineCommand();
    case CommandType::graph:
      return static_cast<GraphCommand&>(command).~GraphCommand();
    case CommandType::exchange:
      return static_cast<ExchangeCommand&>(command).~ExchangeCommand();
    case CommandType::product:
      return static_cast<ProductCommand&>(command).~ProductCommand();
    default:
      return;  // the others own nothing
  }
}

flagos_record_kind_t command_kind(const Command& command) noexcept {
  switch (command.type) {
    case CommandType::launch:
    case CommandType::product:
      return FLAGOS_RECORD_KIND_KERNEL;
    case CommandType::copy:
    case CommandType::copy_2d:
    case CommandType::update:
      return FLAGOS_RECORD_KIND_COPY;
    case CommandType::fill:
      return FLAGOS_RECORD_KIND_FILL;
    case CommandType::host:
      return FLAGOS_RECORD_KIND_HOST;
    case CommandType::graph:
      return FLAGOS_RECORD_KIND_GRAPH;
    default:
      return FLAGOS_RECORD_KIND_OTHER;
  }
}

const char* command_name(const Command& command) noexcept {
  switch (command.type) {
    case CommandType::launch:
      return static_cast<const LaunchCommand&>(command).kernel->name().c_str();
    case CommandType::copy:
      return "copy";
    case CommandType::copy_2d:
      return "copy_2d";
    case CommandType::fill:
      return "fill";
    case CommandType::update:
      return "update";
    case CommandType::prefetch:
      return "prefetch";
    case CommandType::host:
      return "host";
    case CommandType::write_value:
      return "write_value";
    case CommandType::wait_value:
      return "wait_value";
    case CommandType::record:
      return "record";
    case CommandType::wait_record:
      return "wait_event";
    case CommandType::wait_timeline:
      return "wait_timeline";
    case CommandType::signal_timeline:
      return "signal_timeline";
    case CommandType::graph:
      return "graph";
    case CommandType::product:
      return static_cast<const ProductCommand&>(command).product.name();
    case CommandType::collective:
      return operation_name(static_cast<const CollectiveCommand&>(command).operation);
    case CommandType::exchange:
      return "send and receive";
    case CommandType::mark:
    case CommandType::end_of_chunk:
      break;
  }
  return "";
}

std::uint64_t command_bytes(const Command& command) noexcept {
  switch (command.type) {
    case CommandType::copy:
      return static_cast<const CopyCommand&>(command).bytes;
    case CommandType::copy_2d: {
      const flagos_copy_2d_desc_t& desc = static_cast<const Copy2dCommand&>(command).desc;
      return desc.width_bytes * desc.height;
    }
    case CommandType::fill:
      return static_cast<const FillCommand&>(command).bytes;
    case CommandType::update:
      return static_cast<const UpdateCommand&>(command).bytes;
    case CommandType::product:
      return static_cast<const ProductCommand&>(command).product.bytes();
    case CommandType::collective: {
      const flagos_collective_desc_t& desc = static_cast<const CollectiveCommand&>(command).desc;
      return desc.count * dtype_bytes(desc.dtype);
    }
    default:
      return 0;
  }
}

CommandQueue::~CommandQueue() {
  for (Chunk* list : {head_ != nullptr ? head_ : first_.load(), spare_}) {
    while (list != nullptr) {
      Chunk* next = list->next;
      delete list;
      list = next;
    }
  }
}

CommandQueue::Chunk* CommandQueue::take_chunk() {
  {
    const std::lock_guard lock(spare_lock_);
    if (spare_ != nullptr) {
      Chunk* chunk = spare_;
      spare_ = chunk->next;
      --spare_count_;
      chunk->next = nullptr;
      return chunk;
    }
  }
  return new Chunk;
}

void* CommandQueue::reserve(std::size_t size_bytes) {
  if (needs_chunk(size_bytes)) {
    Chunk* chunk = take_chunk();
    chunk_count_.fetch_add(1, std::memory_order_relaxed);
    if (tail_ == nullptr) {
      first_.store(chunk);
    } else {
      if (tail_offset_ < chunk_bytes)
        new (tail_->bytes + tail_offset_) Command{CommandType::end_of_chunk, 0, 0};
      tail_->next = chunk;
    }
    tail_ = chunk;
    tail_offset_ = 0;
  }
  return tail_->bytes + tail_offset_;
}

Command& CommandQueue::front() noexcept {
  if (head_ == nullptr) head_ = first_.load();
  const auto at = [this] { return reinterpret_cast<Command*>(head_->bytes + head_offset_); };
  if (head_offset_ == chunk_bytes || at()->type == CommandType::end_of_chunk) {
    Chunk* used = head_;
    head_ = used->next;
    head_offset_ = 0;
    recycle(used);
  }
  return *at();
}

void CommandQueue::pop() noexcept {
  auto* command = reinterpret_cast<Command*>(head_->bytes + head_offset_);
  const std::size_t size_bytes = command->size_bytes;
  destroy_command(*command);
  head_offset_ += size_bytes;
}

void CommandQueue::recycle(Chunk* chunk) noexcept {
  chunk_count_.fetch_sub(1, std::memory_order_relaxed);
  {
    const std::lock_guard lock(spare_lock_);
    if (spare_count_ < spare_limit) {
      chunk->next = spare_;
      spare_ = chunk;
      ++spare_count_;
      return;
    }
  }
  delete chunk;
}

}  // namespace flagos::cpu
