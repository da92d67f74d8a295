----------------------------- MODULE LeaseLong -----------------------------
(***************************************************************************)
(* Reading 5, nearest wrong rule: a lease is used for as long as it was    *)
(* granted, less what one clock may be wrong, not two. The leader's clock  *)
(* falls behind and the follower's runs ahead.                             *)
(***************************************************************************)
EXTENDS Lease

Path == handed = {}
=============================================================================
