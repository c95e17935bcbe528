// Work on buffers, in streams and graphs. A buffer belongs to one stream at a time; another one that wants it waits for
// that stream first, in one of several ways.
#include <cstring>

#include "conformance/program/expect.hpp"

namespace flagos::conformance {
namespace {

constexpr std::size_t most_graphs = 3;
constexpr std::uint32_t block_threads = 32;

flagos_argument_t address_argument(flagos_address_t value) {
  return {FLAGOS_DTYPE_ADDRESS, 0, value};
}
flagos_argument_t word_argument(std::uint32_t value) { return {FLAGOS_DTYPE_UINT32, 0, value}; }

// A launch with the arguments it points to.
struct Launch {
  flagos_argument_t arguments[4];
  flagos_launch_desc_t desc{};

  Launch(std::uint32_t threads, std::uint32_t count) {
    desc.struct_size = sizeof(desc);
    desc.grid[0] = (threads + block_threads - 1) / block_threads;
    desc.block[0] = threads == 1 ? 1 : block_threads;
    desc.grid[1] = desc.grid[2] = desc.block[1] = desc.block[2] = 1;
    desc.argument_count = count;
    desc.arguments = count == 0 ? nullptr : arguments;
  }
  Launch(const Launch&) = delete;
  Launch& operator=(const Launch&) = delete;
};

void fill_step(Launch& launch, flagos_address_t word, std::uint32_t multiplier,
               std::uint32_t addend) {
  launch.arguments[0] = address_argument(word);
  launch.arguments[1] = word_argument(multiplier);
  launch.arguments[2] = word_argument(addend);
}

void fill_add(Launch& launch, flagos_address_t target, flagos_address_t source,
              std::uint32_t addend, std::uint32_t count) {
  launch.arguments[0] = address_argument(target);
  launch.arguments[1] = address_argument(source);
  launch.arguments[2] = word_argument(addend);
  launch.arguments[3] = word_argument(count);
}

std::uint32_t word_at(const std::vector<std::uint8_t>& bytes, std::size_t at) {
  std::uint32_t word;
  std::memcpy(&word, bytes.data() + at, sizeof(word));
  return word;
}
void set_word(std::vector<std::uint8_t>& bytes, std::size_t at, std::uint32_t word) {
  std::memcpy(bytes.data() + at, &word, sizeof(word));
}

}  // namespace

void RandomProgram::wait_for_fence(Buffer& buffer, const StreamPointer& stream) {
  if (buffer.fence == nullptr) return;
  note(buffer, fmt::format("to stream {} by its fence", stream->number));
  FLAGOS_EXPECT_OK(flagos_stream_wait_event, stream->handle, buffer.fence);
  retire(buffer.fence);
  FLAGOS_EXPECT_OK(flagos_event_destroy, buffer.fence);  // the wait is honoured
  buffer.fence = nullptr;
}

void RandomProgram::note(Buffer& buffer, std::string text) {
  constexpr std::size_t kept = 8;
  buffer.history.push_back(std::move(text));
  if (buffer.history.size() > kept) buffer.history.pop_front();
}

// Work of `stream` from here on runs behind what `home` has now.
const char* RandomProgram::order(const StreamPointer& home, const StreamPointer& stream) {
  const std::uint32_t way = choices_.below(home->place == stream->place ? 4 : 3);
  if (way == 0) {
    synchronize(home);
    return "was waited for";
  }
  if (way < 3) {
    flagos_event_t* event = nullptr;
    FLAGOS_EXPECT_OK(flagos_event_create, places_[home->place].device, nullptr, &event);
    FLAGOS_EXPECT_OK(flagos_event_record, event, home->handle);
    FLAGOS_EXPECT_OK(flagos_stream_wait_event, stream->handle, event);
    retire(event);
    FLAGOS_EXPECT_OK(flagos_event_destroy, event);  // the wait is honoured
    return "by an event";
  }
  flagos_timeline_t* timeline = nullptr;
  FLAGOS_EXPECT_OK(flagos_timeline_create, places_[home->place].device, 0, &timeline);
  FLAGOS_EXPECT_OK(flagos_stream_wait_timeline, stream->handle, timeline, 1);
  FLAGOS_EXPECT_OK(flagos_stream_signal_timeline, home->handle, timeline, 1);
  stream->timelines.push_back(timeline);
  return "by a timeline";
}

// From here on work of `stream` may use the buffer.
void RandomProgram::bring(Buffer& buffer, const StreamPointer& stream) {
  wait_for_fence(buffer, stream);
  if (buffer.home != nullptr && buffer.home != stream)
    note(buffer, fmt::format("from stream {} to {} {}", buffer.home->number, stream->number,
                             order(buffer.home, stream)));
  buffer.home = stream;
  ++stream->submitted;
}

// Kernels where the place has them, else a fill.
RandomProgram::Work RandomProgram::any_work(std::size_t place) {
  Work work{};
  work.target = buffer_of(place, nullptr);
  if (work.target == nullptr) return work;
  const Place& here = places_[place];
  const auto words = static_cast<std::uint32_t>(work.target->bytes.size() / 4);
  work.target_at = 4 * choices_.below(words);
  work.size = 4 * (1 + choices_.below(words - work.target_at / 4));
  work.first = choices_.below(0xffffff);
  work.second = choices_.below(0xffffff);
  const std::uint32_t kind = choices_.below(4);
  work.kind = kind == 1                           ? Work::copy
              : kind == 2 && here.step != nullptr ? Work::step
              : kind == 3 && here.add != nullptr  ? Work::add
                                                  : Work::fill;
  if (work.kind == Work::copy || work.kind == Work::add) {
    work.source = buffer_of(place, work.target.get());
    if (work.source == nullptr) {
      work.kind = Work::fill;
    } else {
      work.size = std::min(work.size, static_cast<std::uint32_t>(work.source->bytes.size()));
      const auto rest = static_cast<std::uint32_t>(work.source->bytes.size()) - work.size;
      work.source_at = 4 * choices_.below(rest / 4 + 1);
    }
  }
  return work;
}

void RandomProgram::submit(const Work& work, flagos_stream_t* stream) {
  const flagos_address_t target = work.target->address + work.target_at;
  const flagos_address_t source =
      work.source == nullptr ? 0 : work.source->address + work.source_at;
  const Place& here = places_[work.target->place];
  switch (work.kind) {
    case Work::fill:
      FLAGOS_EXPECT_OK(flagos_memory_fill, stream, target, &work.first, 4, work.size);
      break;
    case Work::copy:
      FLAGOS_EXPECT_OK(flagos_memory_copy, stream, target, source, work.size);
      break;
    case Work::step: {
      Launch launch(1, 3);
      fill_step(launch, target, work.first, work.second);
      FLAGOS_EXPECT_OK(flagos_kernel_launch, stream, here.step, &launch.desc);
      break;
    }
    case Work::add: {
      Launch launch(work.size / 4, 4);
      fill_add(launch, target, source, work.first, work.size / 4);
      FLAGOS_EXPECT_OK(flagos_kernel_launch, stream, here.add, &launch.desc);
      break;
    }
  }
}

void RandomProgram::apply(const Work& work) {
  constexpr const char* names[] = {"fill", "copy", "step", "add"};
  std::vector<std::uint8_t>& bytes = work.target->bytes;
  note(*work.target, fmt::format("{} at {}, {} bytes, on stream {}", names[work.kind],
                                 work.target_at, work.size, work.target->home->number));
  for (std::uint32_t i = 0; i < work.size; i += 4) {
    switch (work.kind) {
      case Work::fill:
        set_word(bytes, work.target_at + i, work.first);
        break;
      case Work::copy:
        set_word(bytes, work.target_at + i, word_at(work.source->bytes, work.source_at + i));
        break;
      case Work::add:
        set_word(bytes, work.target_at + i,
                 word_at(work.source->bytes, work.source_at + i) + work.first);
        break;
      case Work::step:
        set_word(bytes, work.target_at, word_at(bytes, work.target_at) * work.first + work.second);
        return;
    }
  }
}

void RandomProgram::work() {
  const std::size_t place = any_place();
  const Work work = any_work(place);
  if (work.target == nullptr) return make_buffer();
  const StreamPointer stream = stream_of(place);
  bring(*work.target, stream);
  if (work.source != nullptr) bring(*work.source, stream);
  submit(work, stream->handle);
  apply(work);
}

void RandomProgram::update() {
  if (buffers_.empty()) return make_buffer();
  const BufferPointer buffer = any_buffer();
  const StreamPointer stream = stream_of(buffer->place);
  bring(*buffer, stream);
  const std::uint32_t size = 1 + choices_.below(std::min<std::uint32_t>(
                                     static_cast<std::uint32_t>(buffer->bytes.size()), 64));
  std::vector<std::uint8_t> data(size);
  for (std::uint8_t& byte : data) byte = static_cast<std::uint8_t>(choices_.below(256));
  FLAGOS_EXPECT_OK(flagos_memory_update, stream->handle, buffer->address, data.data(), size);
  std::copy(data.begin(), data.end(), buffer->bytes.begin());
  std::fill(data.begin(), data.end(), 0);  // the bytes were captured
  note(*buffer, fmt::format("update of {} bytes on stream {}", size, stream->number));
}

void RandomProgram::copy_2d() {
  const std::size_t place = any_place();
  const BufferPointer target = buffer_of(place, nullptr);
  const BufferPointer source = target == nullptr ? nullptr : buffer_of(place, target.get());
  if (source == nullptr) return make_buffer();
  const StreamPointer stream = stream_of(place);
  bring(*target, stream);
  bring(*source, stream);
  const auto smaller =
      static_cast<std::uint32_t>(std::min(target->bytes.size(), source->bytes.size()));
  flagos_copy_2d_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.target = target->address;
  desc.source = source->address;
  desc.height = 1 + choices_.below(4);
  desc.target_pitch_bytes = smaller / desc.height;
  desc.source_pitch_bytes = smaller / desc.height;
  desc.width_bytes = choices_.below(static_cast<std::uint32_t>(desc.target_pitch_bytes) + 1);
  FLAGOS_EXPECT_OK(flagos_memory_copy_2d, stream->handle, &desc);
  note(*target, fmt::format("copy of {} rows of {} bytes, {} apart, on stream {}", desc.height,
                            desc.width_bytes, desc.target_pitch_bytes, stream->number));
  for (std::uint64_t row = 0; row < desc.height; ++row) {
    const auto at = static_cast<std::ptrdiff_t>(row * desc.target_pitch_bytes);
    std::copy_n(source->bytes.begin() + at, desc.width_bytes, target->bytes.begin() + at);
  }
}

void RandomProgram::copy_to_other_place() {
  if (buffers_.size() < 2) return make_buffer();
  const BufferPointer target = any_buffer(), source = any_buffer();
  if (target == source) return;
  const StreamPointer stream = stream_of(choices_.once_in(2) ? target->place : source->place);
  bring(*target, stream);
  bring(*source, stream);
  const std::size_t size = 1 + choices_.below(static_cast<std::uint32_t>(
                                   std::min(target->bytes.size(), source->bytes.size())));
  FLAGOS_EXPECT_OK(flagos_memory_copy_peer, stream->handle, target->address,
                   places_[target->place].device, source->address, places_[source->place].device,
                   size);
  std::copy_n(source->bytes.begin(), size, target->bytes.begin());
  note(*target, fmt::format("peer copy of {} bytes on stream {}", size, stream->number));
}

// A value is written, and waited for behind it.
void RandomProgram::values() {
  if (buffers_.empty()) return make_buffer();
  const BufferPointer buffer = any_buffer();
  const StreamPointer stream = stream_of(buffer->place);
  bring(*buffer, stream);
  const std::uint32_t value = choices_.below(1 << 20);
  const auto written =
      expect({FLAGOS_STATUS_OK, FLAGOS_STATUS_UNSUPPORTED}, "flagos_stream_write_value",
             [&] { return flagos_stream_write_value(stream->handle, buffer->address, value, 4); });
  if (written != FLAGOS_STATUS_OK) return;
  set_word(buffer->bytes, 0, value);
  note(*buffer, fmt::format("value {} written on stream {}", value, stream->number));
  expect({FLAGOS_STATUS_OK, FLAGOS_STATUS_UNSUPPORTED}, "flagos_stream_wait_value", [&] {
    return flagos_stream_wait_value(stream->handle, buffer->address, value, 4,
                                    FLAGOS_COMPARE_EQUAL);
  });
}

void RandomProgram::host_function() {
  const StreamPointer stream = stream_of(any_place());
  std::atomic<int> called{0};
  const auto count = [](void* user_data, flagos_status_t status) {
    *static_cast<std::atomic<int>*>(user_data) += status == FLAGOS_STATUS_OK ? 1 : 100;
  };
  const auto launched =
      expect({FLAGOS_STATUS_OK, FLAGOS_STATUS_UNSUPPORTED}, "flagos_stream_launch_host",
             [&] { return flagos_stream_launch_host(stream->handle, count, &called); });
  ++stream->submitted;
  synchronize(stream);
  demand(called == (launched == FLAGOS_STATUS_OK ? 1 : 0), "a host function is called once");
}

void RandomProgram::compare(Buffer& buffer) {
  const StreamPointer stream = stream_of(buffer.place);
  bring(buffer, stream);
  std::vector<std::uint8_t> found(buffer.bytes.size(), 0xa5);
  FLAGOS_EXPECT_OK(flagos_memory_copy, stream->handle,
                   reinterpret_cast<flagos_address_t>(found.data()), buffer.address, found.size());
  synchronize(stream);
  const auto [at, expected] = std::mismatch(found.begin(), found.end(), buffer.bytes.begin());
  if (at == found.end()) return;
  std::string history;
  for (const std::string& line : buffer.history) history += "\n  " + line;
  fail(fmt::format("byte {} of a buffer of {} bytes is {}, expected {}; it was used so:{}",
                   at - found.begin(), found.size(), *at, *expected, history));
}

// On a stream of its own: whoever waits for work of this program does not fail with it.
void RandomProgram::poison() {
  const std::size_t place = any_place();
  if (places_[place].fail == nullptr) return;
  flagos_stream_t* stream = nullptr;
  FLAGOS_EXPECT_OK(flagos_stream_create, places_[place].device, nullptr, &stream);
  Launch launch(1, 0);
  FLAGOS_EXPECT_OK(flagos_kernel_launch, stream, places_[place].fail, &launch.desc);
  FLAGOS_EXPECT_STATUS(FLAGOS_STATUS_EXECUTION_FAILED, flagos_stream_synchronize, stream,
                       patience_ns);
  std::uint32_t complete = 0;
  FLAGOS_EXPECT_STATUS(FLAGOS_STATUS_EXECUTION_FAILED, flagos_stream_query, stream, &complete);
  if (const BufferPointer buffer = buffer_of(place, nullptr)) {
    const std::uint8_t zero = 0;
    FLAGOS_EXPECT_STATUS(FLAGOS_STATUS_EXECUTION_FAILED, flagos_memory_fill, stream,
                         buffer->address, &zero, 1, 1);
  }
  if (choices_.once_in(2)) {
    FLAGOS_EXPECT_OK(flagos_stream_reset, stream);
    FLAGOS_EXPECT_OK(flagos_stream_synchronize, stream, patience_ns);
  }
  retire(stream);
  FLAGOS_EXPECT_OK(flagos_stream_destroy, stream);
}

// ---- graphs --------------------------------------------------------------------------------------------------------

void RandomProgram::make_graph() {
  if (graphs_.size() >= most_graphs) return drop_graph(choices_.below(most_graphs));
  const std::size_t place = any_place();
  std::vector<Work> works;
  for (std::uint32_t count = 1 + choices_.below(6); count > 0; --count) {
    Work work = any_work(place);
    if (work.target == nullptr) return make_buffer();
    works.push_back(std::move(work));
  }
  if (choices_.once_in(2)) {
    capture_graph(place, std::move(works));
  } else {
    build_graph(place, std::move(works));
  }
}

// On a stream that nobody else sees: any host wait for it would spoil the capture.
void RandomProgram::capture_graph(std::size_t place, std::vector<Work> works) {
  flagos_stream_t* stream = nullptr;
  flagos_graph_t* graph = nullptr;
  flagos_graph_exec_t* exec = nullptr;
  FLAGOS_EXPECT_OK(flagos_stream_create, places_[place].device, nullptr, &stream);
  FLAGOS_EXPECT_OK(flagos_stream_begin_capture, stream);
  for (const Work& work : works) submit(work, stream);
  FLAGOS_EXPECT_OK(flagos_stream_end_capture, stream, &graph);
  FLAGOS_EXPECT_OK(flagos_stream_destroy, stream);
  FLAGOS_EXPECT_OK(flagos_graph_instantiate, graph, &exec);
  retire(graph);
  FLAGOS_EXPECT_OK(flagos_graph_destroy, graph);
  graphs_.push_back({exec, place, std::move(works), {}});
}

namespace {

// A node with all that it points to.
struct Node {
  flagos_fill_node_desc_t fill{};
  flagos_copy_node_desc_t copy{};
  flagos_kernel_node_desc_t kernel{};
  std::unique_ptr<Launch> launch;
  flagos_graph_node_desc_t desc{};

  void set_fill(flagos_address_t target, std::uint32_t pattern, std::uint64_t size) {
    fill = {sizeof(fill), 4, target, size, {}};
    std::memcpy(fill.pattern, &pattern, sizeof(pattern));
    set(FLAGOS_GRAPH_NODE_TYPE_FILL, &fill);
  }
  void set_copy(flagos_address_t target, flagos_address_t source, std::uint64_t size) {
    copy = {sizeof(copy), 0, target, source, size};
    set(FLAGOS_GRAPH_NODE_TYPE_COPY, &copy);
  }
  Launch& set_kernel(flagos_kernel_t* used, std::uint32_t threads, std::uint32_t count) {
    launch = std::make_unique<Launch>(threads, count);
    kernel = {sizeof(kernel), 0, used, &launch->desc};
    set(FLAGOS_GRAPH_NODE_TYPE_KERNEL, &kernel);
    return *launch;
  }

 private:
  void set(flagos_graph_node_type_t type, const void* payload) {
    desc.struct_size = sizeof(desc);
    desc.type = type;
    desc.payload = payload;
  }
};

}  // namespace

// Node behind node: the order of the works is that of their effects.
void RandomProgram::build_graph(std::size_t place, std::vector<Work> works) {
  flagos_graph_t* graph = nullptr;
  FLAGOS_EXPECT_OK(flagos_graph_create, places_[place].device, &graph);
  std::vector<flagos_graph_node_t> nodes;
  for (const Work& work : works) {
    const flagos_address_t target = work.target->address + work.target_at;
    const flagos_address_t source =
        work.source == nullptr ? 0 : work.source->address + work.source_at;
    Node node;
    switch (work.kind) {
      case Work::fill:
        node.set_fill(target, work.first, work.size);
        break;
      case Work::copy:
        node.set_copy(target, source, work.size);
        break;
      case Work::step:
        fill_step(node.set_kernel(places_[place].step, 1, 3), target, work.first, work.second);
        break;
      case Work::add:
        fill_add(node.set_kernel(places_[place].add, work.size / 4, 4), target, source, work.first,
                 work.size / 4);
        break;
    }
    if (!nodes.empty()) {
      node.desc.dependencies = &nodes.back();
      node.desc.dependency_count = 1;
    }
    flagos_graph_node_t added = 0;
    FLAGOS_EXPECT_OK(flagos_graph_add_node, graph, &node.desc, &added);
    nodes.push_back(added);
  }
  if (nodes.size() > 1) {
    FLAGOS_EXPECT_STATUS(FLAGOS_STATUS_INVALID_GRAPH, flagos_graph_add_dependency, graph,
                         nodes.back(), nodes.front());
  }
  flagos_graph_exec_t* exec = nullptr;
  FLAGOS_EXPECT_OK(flagos_graph_instantiate, graph, &exec);
  retire(graph);
  FLAGOS_EXPECT_OK(flagos_graph_destroy, graph);
  graphs_.push_back({exec, place, std::move(works), std::move(nodes)});
}

void RandomProgram::launch_graph() {
  if (graphs_.empty()) return make_graph();
  const Graph& graph = graphs_[choices_.below(static_cast<std::uint32_t>(graphs_.size()))];
  const StreamPointer stream = stream_of(graph.place);
  for (const Work& work : graph.works) {
    bring(*work.target, stream);
    if (work.source != nullptr) bring(*work.source, stream);
  }
  for (std::uint32_t times = 1 + choices_.below(3); times > 0; --times) {
    FLAGOS_EXPECT_OK(flagos_graph_exec_launch, graph.exec, stream->handle);
    for (const Work& work : graph.works) apply(work);
  }
}

// The pattern of a fill; launches that are queued keep the old one.
void RandomProgram::change_graph() {
  if (graphs_.empty()) return make_graph();
  Graph& graph = graphs_[choices_.below(static_cast<std::uint32_t>(graphs_.size()))];
  if (graph.nodes.empty()) return;
  const std::size_t index = choices_.below(static_cast<std::uint32_t>(graph.nodes.size()));
  Work& work = graph.works[index];
  Node node;
  if (work.kind != Work::fill) {
    node.set_fill(work.target->address, 0, 4);
    FLAGOS_EXPECT_STATUS(FLAGOS_STATUS_GRAPH_MISMATCH, flagos_graph_exec_set_node, graph.exec,
                         graph.nodes[index], &node.desc);
    return;
  }
  work.first = choices_.below(0xffffff);
  node.set_fill(work.target->address + work.target_at, work.first, work.size);
  FLAGOS_EXPECT_OK(flagos_graph_exec_set_node, graph.exec, graph.nodes[index], &node.desc);
}

void RandomProgram::drop_graph(std::size_t index) {
  const Graph graph = std::move(graphs_[index]);
  graphs_.erase(graphs_.begin() + static_cast<std::ptrdiff_t>(index));
  retire(graph.exec);
  FLAGOS_EXPECT_OK(flagos_graph_exec_destroy, graph.exec);
}

}  // namespace flagos::conformance
