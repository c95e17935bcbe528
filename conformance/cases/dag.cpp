// Random programs and their sequential model.
#include "conformance/cases/dag.hpp"

#include <algorithm>

namespace flagos::conformance {
namespace {

// Who touched a buffer last, to find what an operation depends on.
struct LastUse {
  std::int64_t writer = -1;
  std::vector<std::uint32_t> readers;
};

bool reads_source(const Operation& operation) {
  return operation.kind == Operation::Kind::mix || operation.kind == Operation::Kind::copy;
}

void add_dependencies(Operation& operation, std::uint32_t index, std::vector<LastUse>& uses) {
  auto& dependencies = operation.dependencies;
  LastUse& target = uses[operation.target];
  if (target.writer >= 0) dependencies.push_back(static_cast<std::uint32_t>(target.writer));
  dependencies.insert(dependencies.end(), target.readers.begin(), target.readers.end());
  if (reads_source(operation)) {
    LastUse& source = uses[operation.source];
    if (source.writer >= 0) dependencies.push_back(static_cast<std::uint32_t>(source.writer));
    source.readers.push_back(index);
  }
  target.writer = index;
  target.readers.clear();
  std::sort(dependencies.begin(), dependencies.end());
  dependencies.erase(std::unique(dependencies.begin(), dependencies.end()), dependencies.end());
}

void apply(const Operation& operation, std::vector<std::vector<std::uint32_t>>& buffers) {
  auto& target = buffers[operation.target];
  const auto& source = buffers[operation.source];
  for (std::size_t i = 0; i < target.size(); ++i) {
    switch (operation.kind) {
      case Operation::Kind::affine:
        target[i] = target[i] * operation.multiply + operation.add;
        break;
      case Operation::Kind::mix:
        target[i] = target[i] * operation.multiply + source[i];
        break;
      case Operation::Kind::copy:
        target[i] = source[i];
        break;
      case Operation::Kind::fill:
        target[i] = operation.add;
        break;
    }
  }
}

}  // namespace

Program random_program(Context& t, std::uint32_t operations, std::uint32_t streams,
                       std::uint32_t buffers, std::uint32_t words) {
  Program program{buffers, words, streams, {}};
  std::vector<LastUse> uses(buffers);
  for (std::uint32_t i = 0; i < operations; ++i) {
    Operation operation{};
    // Kernels are four times as likely as copies and fills, which forget what was there.
    const auto pick = t.random_below(10);
    operation.kind = pick < 4   ? Operation::Kind::affine
                     : pick < 8 ? Operation::Kind::mix
                     : pick < 9 ? Operation::Kind::copy
                                : Operation::Kind::fill;
    operation.target = static_cast<std::uint32_t>(t.random_below(buffers));
    operation.source =
        (operation.target + 1 + static_cast<std::uint32_t>(t.random_below(buffers - 1))) % buffers;
    operation.multiply = static_cast<std::uint32_t>(t.random()()) | 1u;
    operation.add = static_cast<std::uint32_t>(t.random()());
    operation.stream = static_cast<std::uint32_t>(t.random_below(streams));
    add_dependencies(operation, i, uses);
    program.operations.push_back(std::move(operation));
  }
  return program;
}

Memory::Memory(Context& t, const Program& program) {
  for (std::uint32_t i = 0; i < program.buffers; ++i) {
    model_.push_back(random_words(t, program.words));
    device_.push_back(std::make_unique<Words>(t, program.words));
    device_.back()->write(model_.back());
  }
}

void Memory::run_model(const Program& program) {
  for (const Operation& operation : program.operations) apply(operation, model_);
}

void Memory::verify(Context& t, const std::string& what) {
  for (std::size_t i = 0; i < device_.size(); ++i) {
    equal_words(t, device_[i]->read(), model_[i], what + ", buffer " + std::to_string(i));
  }
}

void issue(Context& t, flagos_stream_t* stream, const Operation& operation, const Memory& memory) {
  const Words& target = memory[operation.target];
  const Words& source = memory[operation.source];
  switch (operation.kind) {
    case Operation::Kind::affine:
      affine(t, stream, target, operation.multiply, operation.add);
      break;
    case Operation::Kind::mix:
      mix(t, stream, target, source, operation.multiply);
      break;
    case Operation::Kind::copy:
      t.ok(flagos_memory_copy(stream, target.at(), source.at(), target.size_bytes()), "a copy");
      break;
    case Operation::Kind::fill:
      t.ok(flagos_memory_fill(stream, target.at(), &operation.add, 4, target.size_bytes()),
           "a fill");
      break;
  }
}

void issue_on_streams(Context& t, const Program& program, const Memory& memory,
                      const std::vector<flagos_stream_t*>& streams,
                      const std::vector<flagos_event_t*>& events) {
  for (const Operation& operation : program.operations) {
    std::vector<bool> waited(streams.size(), false);
    waited[operation.stream] = true;
    for (const std::uint32_t dependency : operation.dependencies) {
      const std::uint32_t producer = program.operations[dependency].stream;
      if (waited[producer]) continue;
      waited[producer] = true;
      flagos_event_t* event = events[t.random_below(events.size())];
      t.ok(flagos_event_record(event, streams[producer]), "a record behind the producer");
      t.ok(flagos_stream_wait_event(streams[operation.stream], event), "a wait of the consumer");
    }
    issue(t, streams[operation.stream], operation, memory);
  }
}

Lanes::Lanes(Context& t, std::uint32_t stream_count, std::uint32_t event_count) {
  for (std::uint32_t i = 0; i < stream_count; ++i) {
    stream_owners.push_back(std::make_unique<Stream>(t));
    streams.push_back(*stream_owners.back());
  }
  for (std::uint32_t i = 0; i < event_count; ++i) {
    event_owners.push_back(std::make_unique<Event>(t));
    events.push_back(*event_owners.back());
  }
}

void Lanes::synchronize() {
  for (auto& stream : stream_owners) stream->synchronize();
}

}  // namespace flagos::conformance
