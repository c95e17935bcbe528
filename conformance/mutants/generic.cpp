// Which generic bugs make sense for which entry.
#include <array>
#include <string>

#include "conformance/mutants/catalogue.hpp"
#include "conformance/mutants/changes.hpp"

namespace flagos::conformance::mutants {
namespace {

// "size", or "size2" where an entry has several.
template <typename Slot>
std::string argument_name(std::size_t index) {
  const char role = Slot::roles[index];
  std::string name;
  switch (role) {
    case 'h':
      name = "object";
      break;
    case 'a':
      name = "address";
      break;
    case 'z':
      name = "size";
      break;
    case 'i':
      name = "index";
      break;
    case 'f':
      name = "flags";
      break;
    case 'v':
      name = "value";
      break;
    case 't':
      name = "timeout";
      break;
    case 'd':
      name = "in";
      break;
    case 'p':
      name = "data";
      break;
    case 'o':
      name = "out";
      break;
    default:
      name = "argument";
      break;
  }
  std::size_t before = 0, all = 0;
  for (std::size_t i = 0; i < Slot::roles.size(); ++i) {
    if (Slot::roles[i] != role) continue;
    ++all;
    if (i <= index) ++before;
  }
  return all > 1 ? name + std::to_string(before) : name;
}

template <typename Slot>
class Generator {
  using E = Entry<Slot>;
  using Function = typename E::Function;
  static_assert(Slot::roles.size() == E::size, "a letter for each parameter");
  template <std::size_t I>
  using Argument = typename E::template Argument<I>;

 public:
  explicit Generator(std::vector<Mutant>& list) : list_(list) {}

  void add_all() {
    add_calls();
    [&]<std::size_t... I>(std::index_sequence<I...>) { (add_argument<I>(), ...); }
    (std::make_index_sequence<E::size>());
  }

 private:
  // `finder` is the case that looks at all entries for such a bug.
  Mutant& add_for(const char* finder, const std::string& name, const std::string& bug,
                  Function function) {
    Mutant& mutant = add(name, bug, function);
    mutant.cases = {finder};
    return mutant;
  }

  Mutant& add(const std::string& name, const std::string& bug, Function function) {
    Mutant mutant;
    mutant.id = std::string(Slot::name) + "/" + name;
    mutant.entry = Slot::name;
    mutant.bug = bug;
    mutant.slot = Slot::index;
    mutant.function = reinterpret_cast<AnyFunction>(function);
    list_.push_back(std::move(mutant));
    return list_.back();
  }

  void add_calls() {
    constexpr bool changes_something = Slot::kind != Kind::query;
    constexpr bool repeats = Slot::kind == Kind::submit || Slot::kind == Kind::set;
    add("skip", "answers OK and does nothing", &E::skip);
    add("skip-7th", "every seventh call answers OK and does nothing", &E::skip_seventh);
    if constexpr (E::has_status) {
      add("fail", "fails without having been called", &E::fail);
      add("fail-7th", "every seventh call fails", &E::fail_seventh);
      if constexpr (changes_something)
        add("fail-after", "does its work and says that it failed", &E::fail_after);
      add("other-status", "INTERNAL instead of what went wrong, and of every answer",
          &E::other_status)
          .shows_in_refusals = true;
      add("swallow-failure", "OK although it failed", &E::swallow_failure).shows_in_refusals = true;
      Mutant& silent =
          add_for("abi.errtext.plugin_failures", "no-text", "fails without a text", &E::no_text);
      silent.wraps_host = silent.shows_in_refusals = true;
    }
    if constexpr (repeats)
      add_for("stream.order.every_entry", "twice", "does its work twice", &E::twice);
    if constexpr (Slot::kind == Kind::destroy && !E::has_status)
      add("twice", "gives back twice", &E::twice);
    if constexpr (repeats || Slot::kind == Kind::destroy)
      add("late", "answers OK and does its work 5 ms later, with pointers that may be gone",
          &E::late);
    if constexpr (Slot::kind == Kind::submit && takes_stream())
      add_for("stream.async.every_entry", "waits", "returns when the stream has done the work",
              &E::waits);
    if constexpr (Slot::kind == Kind::wait) {
      add("timeout-is-ok", "OK although the time ran out", &E::timeout_is_ok).shows_in_refusals =
          true;
      add("locks-out", "holds a lock that every other call needs", &E::locks_out).hooks.before =
          &let_pass;
    }
  }

  static constexpr bool takes_stream() {
    return []<std::size_t... I>(std::index_sequence<I...>) {
      return (std::is_same_v<Argument<I>, flagos_plugin_stream_t*> || ...);
    }
    (std::make_index_sequence<E::size>());
  }

  template <std::size_t I>
  void add_argument() {
    constexpr char role = Slot::roles[I];
    const std::string name = argument_name<Slot>(I);
    if constexpr (role == 'h' && ObjectPointer<Argument<I>> && Slot::kind != Kind::destroy)
      add("other-" + name, "works on the " + name + " of an earlier call",
          &E::template other_object<I>);
    if constexpr (role == 'a' || role == 'z' || role == 'i' || role == 'v' || is_bytes<I>())
      add(name + "+1", name + " is 1 too large", &E::template plus<I, 1>);
    if constexpr (role == 'z' || role == 'v')
      add(name + "-1", name + " is 1 too small", &E::template plus<I, -1>);
    if constexpr (role == 'f') add("no-" + name, "ignores its flags", &E::template zero<I>);
    if constexpr (role == 't') {
      add("no-wait", "does not wait", &E::template zero<I>);
      add("waits-on", "waits past its timeout", &E::template as_long_as_it_takes<I>);
    }
    if constexpr (role == 'd') add_changes_in<I>(name);
    if constexpr (role == 'p') add_changes_in_array<I>(name);
    if constexpr (role == 'o') add_out<I>(name);
    add_swaps<I>(name);
  }

  template <std::size_t I>
  static constexpr bool is_bytes() {
    using Value = Argument<I>;
    return Slot::roles[I] == 'p' &&
           (std::is_same_v<Value, const void*> || std::is_same_v<Value, void*> ||
            std::is_same_v<Value, const char*>);
  }

  template <std::size_t I>
  void add_swaps(const std::string& name) {
    [&]<std::size_t... J>(std::index_sequence<J...>) { (add_swap<I, I + 1 + J>(name), ...); }
    (std::make_index_sequence<E::size - I - 1>());
  }
  template <std::size_t I, std::size_t J>
  void add_swap(const std::string& name) {
    if constexpr (Slot::roles[I] == Slot::roles[J] && std::is_same_v<Argument<I>, Argument<J>> &&
                  Slot::roles[I] != 'x') {
      const std::string other = argument_name<Slot>(J);
      add("swap-" + name + "-" + other,
          "takes " + name + " for " + other + " and the other way round",
          &E::template swapped<I, J>);
    }
  }

  template <std::size_t I>
  void add_changes_in(const std::string& name) {
    using Struct = std::remove_const_t<std::remove_pointer_t<Argument<I>>>;
    for (const NamedChange& each : changes_in<Struct>())
      add(name + "." + each.name, "what goes in is changed: " + std::string(each.name),
          &E::template changed_in<I>)
          .change = each.apply;
  }
  template <std::size_t I>
  void add_changes_in_array(const std::string& name) {
    using Struct = std::remove_const_t<std::remove_pointer_t<Argument<I>>>;
    if constexpr (Structure<Struct>) {
      for (const NamedChange& each : changes_in<Struct>())
        add(name + "." + each.name, "what goes in is changed: " + std::string(each.name),
            &E::template changed_array<I>)
            .change = each.apply;
    }
  }

  template <std::size_t I>
  void add_out(const std::string& name) {
    using Value = std::remove_pointer_t<Argument<I>>;
    add_for("abi.struct.plugin_out_truncation", name + "-past", "writes a byte behind " + name,
            &E::template past_out<I>);
    if constexpr (Structure<Value>) {
      for (const NamedChange& each : changes_out<Value>())
        add(name + "." + each.name, "what comes out is changed: " + std::string(each.name),
            &E::template changed_out<I>)
            .change = each.apply;
    } else if constexpr (std::is_arithmetic_v<Value>) {
      add(name + "+1", name + " is 1 too large", &E::template plus_out<I, 1>);
      add(name + "-none", name + " is 0", &E::template no_out<I>);
      add(name + "-previous", name + " is that of the call before", &E::template previous_out<I>);
    } else {
      add(name + "-none", name + " is NULL", &E::template no_out<I>);
      add(name + "-previous", name + " is that of the call before", &E::template previous_out<I>);
    }
    if constexpr (std::is_same_v<Value, const char*>)
      add(name + "-empty", name + " is an empty text", &E::template changed_out<I>).change =
          [](void* out) { *static_cast<const char**>(out) = ""; };
    if constexpr (Slot::kind == Kind::create)
      add(name + "-one-more", "makes one more that nobody gives back", &E::template one_more<I>);
  }

  std::vector<Mutant>& list_;
};

}  // namespace

void add_generic(std::vector<Mutant>& list) {
#define FLAGOS_ENTRY(group, slot_name, roles, kind) \
  Generator<slot::group##_##slot_name>(list).add_all();
#include "conformance/mutants/entries.inc"
#undef FLAGOS_ENTRY
}

}  // namespace flagos::conformance::mutants
