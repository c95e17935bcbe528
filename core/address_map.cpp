// A treap of immutable nodes; priorities are hashes of the base, so its shape depends on the contents alone.
#include "core/address_map.hpp"

#include <memory>
#include <vector>

#include "core/epoch.hpp"

namespace flagos::core {

struct AddressMap::Node {
  Allocation allocation;
  std::uint64_t priority;
  const Node* left;
  const Node* right;
};

namespace {

std::uint64_t hash(std::uint64_t value) {  // splitmix64 (Steele, Lea, Flood 2014)
  value += 0x9e3779b97f4a7c15u;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
  return value ^ (value >> 31);
}

// One change: the nodes it made, deleted again if it fails half-way, and the nodes it replaces, which readers may
// still be on and which are retired together once the new root is published.
template <typename Node>
class Change {
 public:
  Change() {
    made_.reserve(64);
    replaced_ = std::make_unique<Replaced>();
    replaced_->nodes.reserve(64);
  }
  ~Change() {
    for (const Node* node : made_) delete node;
  }
  Change(const Change&) = delete;
  Change& operator=(const Change&) = delete;

  const Node* make(const Allocation& allocation, std::uint64_t priority, const Node* left, const Node* right) {
    made_.push_back(nullptr);
    made_.back() = new Node{allocation, priority, left, right};
    return made_.back();
  }
  const Node* copy(const Node* old, const Node* left, const Node* right) {
    replaced_->nodes.push_back(old);
    return make(old->allocation, old->priority, left, right);
  }
  void publish(std::atomic<const Node*>& root, const Node* new_root) {
    root.store(new_root, std::memory_order_release);
    made_.clear();
    epoch::retire(replaced_.release(), [](epoch::Retired* item) {
      const std::unique_ptr<Replaced> replaced(static_cast<Replaced*>(item));
      for (const Node* node : replaced->nodes) delete node;
    });
  }
  // All keys of `left` are below all keys of `right`.
  const Node* join(const Node* left, const Node* right) {
    if (left == nullptr) return right;
    if (right == nullptr) return left;
    if (left->priority > right->priority) return copy(left, left->left, join(left->right, right));
    return copy(right, join(left, right->left), right->right);
  }
  void split(const Node* node, flagos_address_t base, const Node*& left, const Node*& right) {
    if (node == nullptr) {
      left = right = nullptr;
      return;
    }
    const Node* middle = nullptr;
    if (node->allocation.base < base) {
      split(node->right, base, middle, right);
      left = copy(node, node->left, middle);
    } else {
      split(node->left, base, left, middle);
      right = copy(node, middle, node->right);
    }
  }
  const Node* insert(const Node* node, const Allocation& added) {
    if (node == nullptr) return make(added, hash(added.base), nullptr, nullptr);
    if (hash(added.base) > node->priority) {
      const Node *left = nullptr, *right = nullptr;
      split(node, added.base, left, right);
      return make(added, hash(added.base), left, right);
    }
    if (added.base < node->allocation.base) return copy(node, insert(node->left, added), node->right);
    return copy(node, node->left, insert(node->right, added));
  }
  const Node* erase(const Node* node, flagos_address_t base) {
    if (node->allocation.base == base) {
      replaced_->nodes.push_back(node);
      return join(node->left, node->right);
    }
    if (base < node->allocation.base) return copy(node, erase(node->left, base), node->right);
    return copy(node, node->left, erase(node->right, base));
  }

 private:
  struct Replaced : epoch::Retired {
    std::vector<const Node*> nodes;
  };
  std::vector<const Node*> made_;
  std::unique_ptr<Replaced> replaced_;
};

template <typename Node>
void delete_tree(const Node* node) {
  if (node == nullptr) return;
  delete_tree(node->left);
  delete_tree(node->right);
  delete node;
}

}  // namespace

AddressMap::~AddressMap() { delete_tree(root_.load(std::memory_order_relaxed)); }

const Allocation* AddressMap::find(flagos_address_t address) const {
  const Node* node = root_.load(std::memory_order_acquire);
  const Node* best = nullptr;  // the last one that starts at or below the address
  while (node != nullptr) {
    if (node->allocation.base <= address) {
      best = node;
      node = node->right;
    } else {
      node = node->left;
    }
  }
  if (best == nullptr) return nullptr;
  const Allocation& found = best->allocation;
  return address == found.base || address - found.base < found.size_bytes ? &found : nullptr;
}

const Allocation* AddressMap::find_exact(flagos_address_t base) const {
  const Node* node = root_.load(std::memory_order_acquire);
  while (node != nullptr && node->allocation.base != base) {
    node = base < node->allocation.base ? node->left : node->right;
  }
  return node == nullptr ? nullptr : &node->allocation;
}

bool AddressMap::insert(const Allocation& allocation) {
  std::lock_guard lock(mutex_);
  const std::uint64_t extent = allocation.size_bytes == 0 ? 1 : allocation.size_bytes;
  const Node* root = root_.load(std::memory_order_acquire);
  // The neighbours: the last below or at the base, and the first above it.
  const Node *below = nullptr, *above = nullptr;
  for (const Node* node = root; node != nullptr;) {
    if (node->allocation.base <= allocation.base) {
      below = node;
      node = node->right;
    } else {
      above = node;
      node = node->left;
    }
  }
  const auto extent_of = [](const Node* node) {
    return node->allocation.size_bytes == 0 ? 1 : node->allocation.size_bytes;
  };
  if (below != nullptr && allocation.base - below->allocation.base < extent_of(below)) return false;
  if (above != nullptr && above->allocation.base - allocation.base < extent) return false;
  Change<Node> change;
  change.publish(root_, change.insert(root, allocation));
  count_.fetch_add(1, std::memory_order_relaxed);
  return true;
}

void AddressMap::erase_locked(flagos_address_t base) {
  Change<Node> change;
  change.publish(root_, change.erase(root_.load(std::memory_order_acquire), base));
  count_.fetch_sub(1, std::memory_order_relaxed);
}

std::optional<Allocation> AddressMap::first() {
  std::lock_guard lock(mutex_);
  const Node* node = root_.load(std::memory_order_acquire);
  if (node == nullptr) return std::nullopt;
  return node->allocation;
}

}  // namespace flagos::core
