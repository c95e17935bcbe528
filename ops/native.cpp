#include "ops/native.hpp"

#include <array>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <list>
#include <optional>

#include "ops/table.hpp"
#include "ops/trace.hpp"

namespace flagos::ops {
namespace {

constexpr const char* variable = "FLAGOS_OPS_PREFER";

flagos_ops_preference_t preference_in(std::string_view word, std::string_view text) {
  if (word == "native") return FLAGOS_OPS_PREFERENCE_NATIVE;
  if (word == "portable") return FLAGOS_OPS_PREFERENCE_PORTABLE;
  throw_error(
      FLAGOS_STATUS_INVALID_ARGUMENT,
      "{} is '{}': '{}' is neither native nor portable, alone or behind an operator's name and =",
      variable, text, word);
}

// Two numbers that calls share only if they are alike in everything but addresses.
class Fingerprint {
 public:
  void add(std::uint64_t value) {
    low_ = std::rotl(low_ ^ (value * 0x9e3779b97f4a7c15U), 31) * 0xc2b2ae3d27d4eb4fU;
    high_ = std::rotl(high_ + (value ^ 0x165667b19e3779f9U) * 0xff51afd7ed558ccdU, 27) *
            0xc4ceb9fe1a85ec53U;
  }
  std::size_t slot(std::size_t slots) const { return (low_ ^ (high_ >> 32)) % slots; }
  friend bool operator==(const Fingerprint&, const Fingerprint&) = default;

 private:
  std::uint64_t low_ = 0x27d4eb2f165667c5U, high_ = 0x85ebca77c2b2ae63U;
};

// The arguments as the device takes them. Points into the call.
class Described {
 public:
  explicit Described(const Call& call) {
    const std::vector<Parameter>& parameters = call.op().schema().parameters;
    desc_.struct_size = sizeof(desc_);
    desc_.index = call.device().native_index(call.op().index());
    desc_.arguments = arguments_.data();
    desc_.argument_count = static_cast<std::uint32_t>(parameters.size());
    print_.add(desc_.index);
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      arguments_[i] = argument(call, parameters[i], i);
      print_.add(static_cast<std::uint64_t>(arguments_[i].type) << 32 | arguments_[i].count);
    }
  }
  Described(const Described&) = delete;
  Described& operator=(const Described&) = delete;

  flagos_operator_desc_t& desc() { return desc_; }
  const Fingerprint& print() const { return print_; }

 private:
  static std::uint64_t address(const void* pointer) {
    return reinterpret_cast<std::uintptr_t>(pointer);
  }
  flagos_operator_argument_t valued(flagos_operator_argument_type_t type, std::uint64_t value) {
    print_.add(value);
    return {type, 0, value};
  }
  const flagos_tensor_t* described(const Tensor& tensor) {
    flagos_tensor_t& out = used_ < few_.size() ? few_[used_] : many_.emplace_back();
    ++used_;
    out = {sizeof(out),
           to_abi(tensor.dtype),
           tensor.address,
           0,
           static_cast<std::uint32_t>(tensor.rank),
           tensor.shape.data(),
           tensor.strides.data()};
    print_.add(static_cast<std::uint64_t>(out.dtype) << 32 | out.rank);
    for (int axis = 0; axis < tensor.rank; ++axis) {
      print_.add(static_cast<std::uint64_t>(tensor.shape[axis]));
      print_.add(static_cast<std::uint64_t>(tensor.strides[axis]));
    }
    return &out;
  }
  flagos_operator_argument_t list(std::span<const Tensor> tensors) {
    std::vector<const flagos_tensor_t*>& pointers = lists_.emplace_back();
    for (const Tensor& tensor : tensors) pointers.push_back(described(tensor));
    return {FLAGOS_OPERATOR_ARGUMENT_TYPE_TENSORS, static_cast<std::uint32_t>(tensors.size()),
            address(pointers.data())};
  }
  flagos_operator_argument_t list(std::span<const std::int64_t> numbers) {
    for (const std::int64_t number : numbers) print_.add(static_cast<std::uint64_t>(number));
    return {FLAGOS_OPERATOR_ARGUMENT_TYPE_INTEGERS, static_cast<std::uint32_t>(numbers.size()),
            address(numbers.data())};
  }
  flagos_operator_argument_t number(const Scalar& scalar) {
    if (scalar.dtype == DType::f64)
      return valued(FLAGOS_OPERATOR_ARGUMENT_TYPE_REAL, std::bit_cast<std::uint64_t>(scalar.real));
    return valued(scalar.dtype == DType::boolean ? FLAGOS_OPERATOR_ARGUMENT_TYPE_BOOLEAN
                                                 : FLAGOS_OPERATOR_ARGUMENT_TYPE_INTEGER,
                  static_cast<std::uint64_t>(scalar.integer));
  }
  flagos_operator_argument_t argument(const Call& call, const Parameter& parameter, std::size_t i) {
    using Kind = Parameter::Kind;
    if (parameter.list)
      return parameter.kind == Kind::tensor ? list(call.tensors(i)) : list(call.integers(i));
    if (!call.has(i) && parameter.kind != Kind::word) return {};
    switch (parameter.kind) {
      case Kind::tensor:
        return {FLAGOS_OPERATOR_ARGUMENT_TYPE_TENSOR, 0, address(described(call.tensor(i)))};
      case Kind::integer:
        return valued(FLAGOS_OPERATOR_ARGUMENT_TYPE_INTEGER,
                      static_cast<std::uint64_t>(call.integer(i)));
      case Kind::real:
        return valued(FLAGOS_OPERATOR_ARGUMENT_TYPE_REAL,
                      std::bit_cast<std::uint64_t>(call.real(i)));
      case Kind::boolean:
        return valued(FLAGOS_OPERATOR_ARGUMENT_TYPE_BOOLEAN, call.flag(i) ? 1 : 0);
      case Kind::scalar:
        return number(call.scalar(i));
      case Kind::word:
        print_.add(call.word(i));
        return {FLAGOS_OPERATOR_ARGUMENT_TYPE_TEXT, 0,
                address(parameter.words[call.word(i)].c_str())};
    }
    return {};
  }

  flagos_operator_desc_t desc_{};
  std::array<flagos_operator_argument_t, Call::max_arguments> arguments_;
  std::array<flagos_tensor_t, 8> few_;
  std::list<flagos_tensor_t> many_;  // where there are lists
  std::size_t used_ = 0;
  std::list<std::vector<const flagos_tensor_t*>> lists_;
  Fingerprint print_;
};

// What a device answered to calls of this thread. Few of them differ for long, so a place per remainder is enough.
struct Decision {
  std::uint64_t device = 0;
  Fingerprint print;
  bool runs = false;
  std::uint64_t workspace_bytes = 0;
};

const Decision& decide(const Call& call, Described& described) {
  thread_local std::array<Decision, 64> decisions;
  Decision& decision = decisions[described.print().slot(decisions.size())];
  if (decision.device == call.device().number() && decision.print == described.print())
    return decision;
  flagos_operator_support_t support{};
  support.struct_size = sizeof(support);
  expect(flagos_operator_query(call.device().handle(), &described.desc(), &support));
  decision = {call.device().number(), described.print(),
              (support.flags & FLAGOS_OPERATOR_SUPPORT_FLAG_RUNS) != 0, support.workspace_bytes};
  return decision;
}

}  // namespace

Preferences& Preferences::get() {
  static Preferences preferences;
  return preferences;
}

Preferences::Preferences() : values_(Table::get().operators().size()) {
  if (const char* const text = ::secure_getenv(variable); text != nullptr) read(text);
}

void Preferences::set_all(flagos_ops_preference_t preference) {
  for (auto& value : values_) value.store(preference, std::memory_order_relaxed);
}

void Preferences::read(std::string_view text) {
  for (std::string_view rest = text; !rest.empty();) {
    const std::string_view part = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(part.size() + 1, rest.size()));
    const std::size_t equals = part.find('=');
    if (equals == std::string_view::npos) {
      set_all(preference_in(part, text));
      continue;
    }
    const Operator* const op = Table::get().find(part.substr(0, equals));
    if (op == nullptr)
      throw_error(
          FLAGOS_STATUS_INVALID_ARGUMENT,
          "{} is '{}', and there is no operator '{}'; `flagos ops list` tells which there are",
          variable, text, part.substr(0, equals));
    set(op->index(), preference_in(part.substr(equals + 1), text));
  }
}

std::vector<std::uint32_t> native_indices(flagos_device_t* device) {
  std::vector<std::uint32_t> offered(Table::get().operators().size(), Device::not_native);
  std::uint32_t count = 0;
  expect(flagos_operator_get_count(device, &count));
  for (std::uint32_t i = 0; i < count; ++i) {
    flagos_operator_info_t info{};
    info.struct_size = sizeof(info);
    expect(flagos_operator_get_info(device, i, &info));
    const Operator* const op = Table::get().find(info.name);
    if (op != nullptr && std::strcmp(op->schema_text(), info.schema) == 0) offered[op->index()] = i;
  }
  return offered;
}

bool run_offered(const Call& call) {
  if (Preferences::get().of(call.op().index()) == FLAGOS_OPS_PREFERENCE_PORTABLE) {
    trace_route(false, "preferred");
    return false;
  }
  if (call.has_complex_number()) {
    trace_route(false, "a number is complex");
    return false;
  }
  Described described(call);
  const Decision decision = decide(call, described);
  if (!decision.runs) {
    trace_route(false, "the device does not take such a call");
    return false;
  }
  std::optional<Workspace> workspace;
  if (decision.workspace_bytes != 0) {
    workspace.emplace(call.device(), call.stream(), decision.workspace_bytes);
    described.desc().workspace = workspace->address();
    described.desc().workspace_bytes = decision.workspace_bytes;
  }
  const flagos_status_t status = flagos_operator_run(call.stream(), &described.desc());
  if (status == FLAGOS_STATUS_UNSUPPORTED) {
    trace_route(false, flagos_last_error());
    return false;
  }
  expect(status);
  trace_route(true, "");
  return true;
}

}  // namespace flagos::ops
